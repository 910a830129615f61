"""The end of a training before its last epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning import stopping
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.stopping import Validation
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.storage.state_file import StateFile

PREPROCESSING = PreprocessingConfig(mean=(0.3,), std=(0.4,))
# Of one epoch each: the third is the best, and the fifth as good.
ACCURACIES = [0.5, 0.25, 0.75, 0.5, 0.75, 0.5, 0.9]


def settings(**training: Any) -> LearningSettings:
    given = {"epochs": 7, "batch_size": 8, "warmup_epochs": 1, "save_every": 1}
    return LearningSettings(
        training=TrainingConfig(**{**given, "device": "cpu", **training}),
        losses=LossesConfig(),
        augmentation=AugmentationConfig(),
        preprocessing=PREPROCESSING,
        seed=3,
    )


def images(num: int = 16) -> TaskImages:
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 256, (num, 1, 8, 8), generator=generator)
    return TaskImages(levels.to(torch.uint8), torch.arange(num) % 2)


def model() -> DAFormer:
    return expand_model(
        None,
        ModelConfig(embed_dim=16, depth=2, num_heads=2, patch_size=4),
        image_size=8,
        in_channels=1,
        num_new_classes=2,
        seed=3,
        divergence=True,
    )


class Keeps:
    """Keeps the model's weights after each epoch, and crashes after one of them."""

    def __init__(self, model: DAFormer, crash_after: int | None = None) -> None:
        self.model, self.crash_after = model, crash_after
        self.weights: list[dict[str, torch.Tensor]] = []
        self.records: list[EpochRecord] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.records.append(record)
        state = self.model.state_dict()
        self.weights.append({name: value.clone() for name, value in state.items()})
        if record.epoch == self.crash_after:
            raise KeyboardInterrupt


@pytest.fixture
def accuracies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give validation accuracies in place of measured ones."""
    left = list(ACCURACIES)
    monkeypatch.setattr(Validation, "accuracy", lambda *_: left.pop(0))
    return left


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_ends_once_accuracy_has_not_risen_and_keeps_the_best(
    accuracies: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    trained = model()
    with observed_by(watched := Keeps(trained)):
        records = train_task(
            trained, images(), settings(patience=3), validation=images()
        )
    assert [r.validation_accuracy for r in records] == ACCURACIES[:6]
    assert [r.ended_by for r in records] == [None] * 5 + ["patience"]
    assert same(trained.state_dict(), watched.weights[2])
    assert "task 0 train ended after 6 of 7 epochs" in caplog.text
    assert "kept is epoch 3 with 75.0%" in caplog.text


def test_finetuning_ends_so_too_and_its_last_epoch_ends_by_itself(
    accuracies: list[float],
) -> None:
    trained = model()
    trained.remove_divergence_head()
    config = FinetuningConfig(epochs=6, batch_size=8)
    with observed_by(watched := Keeps(trained)):
        records = finetune_on_memory(
            trained, images(), settings(patience=3), config, validation=images()
        )
    assert records[-1].epoch == 5
    assert records[-1].ended_by is None
    assert same(trained.state_dict(), watched.weights[2])


@pytest.mark.parametrize("crash_after", [1, 3, 5])
def test_it_resumes_to_the_same_epoch_and_bits(
    tmp_path: Path, accuracies: list[float], crash_after: int
) -> None:
    chosen = settings(patience=3)
    state = StateFile(tmp_path / "training.state", "key")
    first = model()
    with pytest.raises(KeyboardInterrupt), observed_by(Keeps(first, crash_after)):
        train_task(first, images(), chosen, state=state, validation=images())
    resumed = model()
    records = train_task(resumed, images(), chosen, state=state, validation=images())
    accuracies[:] = ACCURACIES
    whole = model()
    expected = train_task(whole, images(), chosen, validation=images())
    assert same(resumed.state_dict(), whole.state_dict())
    assert [r.losses for r in records] == [r.losses for r in expected]


def test_validation_measures_what_the_model_answers() -> None:
    trained, data = model(), images()
    wrong = replace(data, targets=1 - data.targets)
    shares = [Validation(d, PREPROCESSING).accuracy(trained) for d in (data, wrong)]
    assert sum(shares) == 1
    assert trained.training


def test_patience_needs_images() -> None:
    with pytest.raises(ValueError, match=r"training\.patience = 3 needs validation"):
        train_task(model(), images(), settings(patience=3))


class Clock:
    """Counts a number of seconds for each epoch; it is read at its start and end."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.reads = seconds, 0

    def __call__(self) -> float:
        self.reads += 1
        return self.reads // 2 * self.seconds


def test_a_training_ends_in_time_at_the_end_of_its_schedule(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    chosen = settings(epochs=100, max_minutes=1, learning_rate=0.064)
    state = StateFile(tmp_path / "training.state", "key")
    first = model()
    monkeypatch.setattr(stopping, "perf_counter", Clock(14))
    with pytest.raises(KeyboardInterrupt), observed_by(Keeps(first, 1)):
        train_task(first, images(), chosen, state=state)
    # Four epochs of 14 s fit in a minute; those before the crash count.
    monkeypatch.setattr(stopping, "perf_counter", Clock(14))
    records = train_task(model(), images(), chosen, state=state)
    assert [r.ended_by for r in records] == [None, None, None, "time"]
    assert "leaves no time for another one" in caplog.text
    # The peak is 0.064 · 8 / 512 = 1e-3; after the warm-up the rates are those of
    # epochs 0, 23.3, 46.7 and 70 of 100, on a cosine from 1e-3 to 1e-5.
    shares = [r.learning_rate for r in records]
    assert shares == pytest.approx([1e-6, 8.737e-4, 5.568e-4, 2.141e-4], rel=1e-3)
    assert records[-1].as_row()["ended_by"] == "time"


def test_an_epoch_that_takes_longer_is_still_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "perf_counter", Clock(100))
    records = train_task(model(), images(), settings(max_minutes=1))
    assert [r.ended_by for r in records] == ["time"]


def test_without_a_limit_nothing_is_measured() -> None:
    records = train_task(model(), images(), settings())
    assert len(records) == 7
    assert not {"validation_accuracy", "ended_by"} & set(records[0].as_row())
