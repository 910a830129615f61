"""A training that was stopped goes on to the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.objectives.neighbourhood import find_neighbours
from daformer_kedro.storage.state_file import StateFile

PREPROCESSING = PreprocessingConfig(mean=(0.3,), std=(0.4,))


class StoppedError(Exception):
    """Stands for a crash."""


class StopsAfter:
    """Crashes at the end of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.seen: list[int] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.seen.append(record.epoch)
        if record.epoch == self.epoch:
            raise StoppedError


def settings(save_every: int = 1) -> LearningSettings:
    return LearningSettings(
        training=TrainingConfig(
            epochs=5, batch_size=8, learning_rate=0.02, save_every=save_every
        ),
        losses=LossesConfig(),
        augmentation=AugmentationConfig(horizontal_flip=0.5, random_erasing=0.3),
        preprocessing=PREPROCESSING,
        seed=3,
    )


def data(num: int = 24) -> TaskImages:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (num, 1, 8, 8), generator=generator)
    targets = torch.arange(num) % 4
    return TaskImages(images.to(torch.uint8), targets)


def grown(previous: Checkpoint | None) -> DAFormer:
    config = ModelConfig(embed_dim=16, depth=2, num_heads=2, patch_size=2)
    return expand_model(
        previous,
        config,
        image_size=8,
        in_channels=1,
        num_new_classes=2,
        seed=3,
        divergence=True,
    )


def second_task(state: StateFile | None, save_every: int = 1) -> dict[str, Any]:
    """Train the second of two tasks, with all that it has: teacher, bank, head."""
    first = grown(None)
    before = Checkpoint.of(first, preprocessing=PREPROCESSING, class_names=["a", "b"])
    model = grown(before)
    features = torch.randn(24, 16, generator=torch.Generator().manual_seed(2))
    records = train_task(
        model,
        data(),
        settings(save_every),
        teacher=before.build(torch.device("cpu")),
        features=features,
        neighbours=find_neighbours(features, 3),
        state=state,
    )
    return {"weights": model.state_dict(), "records": records}


def finetuning(state: StateFile | None) -> dict[str, Any]:
    first = grown(None)
    before = Checkpoint.of(first, preprocessing=PREPROCESSING, class_names=["a", "b"])
    model = grown(before)
    model.remove_divergence_head()
    config = FinetuningConfig(epochs=4, batch_size=8)
    records = finetune_on_memory(model, data(), settings(), config, state)
    return {"weights": model.state_dict(), "records": records}


def on_files(folder: Path, state: StateFile | None, workers: int) -> dict[str, Any]:
    """Train a first task on random views of files."""
    generator = np.random.default_rng(5)
    folder.mkdir(exist_ok=True)
    for number in range(16):
        pixels = generator.integers(0, 256, (12, 15, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    images = FileImages(
        folder,
        np.array([f"{number}.png" for number in range(16)]),
        image_size=8,
        area=(0.2, 1.0),
        num_workers=workers,
    )
    model = expand_model(
        None,
        ModelConfig(embed_dim=16, depth=2, num_heads=2, patch_size=2),
        image_size=8,
        in_channels=3,
        num_new_classes=4,
        seed=3,
        divergence=True,
    )
    colours = PreprocessingConfig(mean=(0.3,) * 3, std=(0.4,) * 3)
    data = TaskImages(images, torch.arange(16) % 4)
    records = train_task(
        model, data, replace(settings(), preprocessing=colours), state=state
    )
    return {"weights": model.state_dict(), "records": records}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["weights"].keys() == other["weights"].keys()
    for name, weight in one["weights"].items():
        assert torch.equal(weight, other["weights"][name]), name
    for mine, theirs in zip(one["records"], other["records"], strict=True):
        assert mine.losses == theirs.losses
        assert mine.learning_rate == theirs.learning_rate
        assert mine.train_accuracy == theirs.train_accuracy


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_training_goes_on_to_the_same_bits(tmp_path: Path, stop: int) -> None:
    state = StateFile(tmp_path / "training.state", "key")
    with pytest.raises(StoppedError), observed_by(StopsAfter(stop)):
        second_task(state)
    observer = StopsAfter(99)
    with observed_by(observer):
        resumed = second_task(state)
    assert_same(resumed, second_task(None))
    # The epochs before the crash are told again, so that the run log is whole.
    assert observer.seen == [0, 1, 2, 3, 4]


def test_finetuning_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "finetuning.state", "key")
    with pytest.raises(StoppedError), observed_by(StopsAfter(1)):
        finetuning(state)
    assert_same(finetuning(state), finetuning(None))


def test_training_on_files_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "training.state", "key")
    folder = tmp_path / "images"
    with pytest.raises(StoppedError), observed_by(StopsAfter(1)):
        on_files(folder, state, workers=0)
    assert_same(on_files(folder, state, workers=2), on_files(folder, None, workers=0))


def test_a_state_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "training.state"
    with pytest.raises(StoppedError), observed_by(StopsAfter(2)):
        second_task(StateFile(path, "other learning rate"))
    assert_same(second_task(StateFile(path, "key")), second_task(None))


def test_the_state_is_saved_every_few_epochs_and_at_the_end(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "training.state", "key")
    with pytest.raises(StoppedError), observed_by(StopsAfter(0)):
        second_task(state, save_every=2)
    assert state.load() is None
    with pytest.raises(StoppedError), observed_by(StopsAfter(3)):
        second_task(state, save_every=3)
    saved = state.load()
    assert saved is not None
    assert len(saved["history"]) == 3
    second_task(state, save_every=3)
    saved = state.load()
    assert saved is not None
    assert len(saved["history"]) == 5
