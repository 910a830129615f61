"""A method's own loop: resumed to the bit, and DAFormer's where it asks for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from daformer_kedro.config import (
    AugmentationConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.epoch_totals import DivergenceError
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.task import LearningTask
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.storage.state_file import StateFile


class InterruptionError(Exception):
    """Stands for a crash."""


class InterruptsAfter:
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.seen: list[int] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.seen.append(record.epoch)
        if record.epoch == self.epoch:
            raise InterruptionError


def make_task(state: Path | None = None) -> LearningTask:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 1, 8, 8), generator=generator).byte()
    return LearningTask(
        DAFormer(
            ModelConfig(embed_dim=16, depth=2, num_heads=2, patch_size=4),
            image_size=8,
            in_channels=1,
            task_sizes=[3],
        ),
        None,
        TaskImages(images, torch.arange(20) % 3),
        torch.zeros(20, dtype=torch.bool),
        LearningSettings(
            training=TrainingConfig(epochs=2, batch_size=8, save_every=2),
            losses=LossesConfig(),
            augmentation=AugmentationConfig(horizontal_flip=0.5),
            preprocessing=PreprocessingConfig(mean=(0.3,), std=(0.4,)),
            seed=3,
        ),
        state=None if state is None else StateFile(state, "key"),
    )


def train_by_sgd(task: LearningTask, scale: float = 1) -> None:
    """Train with momentum, of which a state is left over between epochs."""
    parameters = task.model.parameters()
    optimiser = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    generator = task.generator()
    for epoch in task.epochs(5, optimiser, generator):
        for images, targets in task.batches(8, generator):
            logits = task.model(images, generator=generator).logits
            loss = scale * F.cross_entropy(logits, targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            epoch.add(logits, targets, classification=loss, halved=loss / 2)


@pytest.mark.parametrize("epoch", [0, 2, 4])
def test_an_interrupted_loop_ends_in_the_same_bits(epoch: int, tmp_path: Path) -> None:
    whole = make_task()
    train_by_sgd(whole)
    state = tmp_path / "training.state"
    with pytest.raises(InterruptionError), observed_by(InterruptsAfter(epoch)):
        train_by_sgd(make_task(state))
    resumed = make_task(state)
    with observed_by(observer := InterruptsAfter(9)):
        train_by_sgd(resumed)
    # Saved every two epochs and after the last; told of all, trained or not.
    assert observer.seen == [0, 1, 2, 3, 4]
    assert len(resumed.history) == len(whole.history) == 5
    for one, other in zip(resumed.history, whole.history, strict=True):
        assert one.losses == other.losses
    weights = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, weights[name])
    assert not resumed.model.training


def test_an_epoch_is_recorded_by_its_batches() -> None:
    task = make_task()
    train_by_sgd(task)
    record = task.history[1]
    assert (record.task, record.phase, record.epoch) == (0, "train", 1)
    assert record.num_images == 16  # two batches of 8; four images are left over
    assert record.learning_rate == 0.05
    assert record.losses["total"] == pytest.approx(
        1.5 * record.losses["classification"]
    )
    assert set(record.losses) == {"classification", "halved", "total"}
    assert record.train_accuracy in [n / 16 for n in range(17)]


def test_a_loss_that_is_not_finite_ends_the_loop() -> None:
    with pytest.raises(DivergenceError, match="task 0, train epoch 0: the loss is not"):
        train_by_sgd(make_task(), scale=float("nan"))


def test_train_is_what_daformer_does() -> None:
    one, other = make_task(), make_task()
    one.train()
    records = train_task(other.model, other.data, other.settings)
    assert [r.losses for r in one.history] == [r.losses for r in records]
    weights = other.model.state_dict()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize("loop", [LearningTask.train, train_by_sgd])
def test_two_loops_in_a_task_are_refused(loop: Callable[[LearningTask], None]) -> None:
    task = make_task()
    task.train()
    with pytest.raises(RuntimeError, match=r"by train\(\) or in epochs\(\), once"):
        loop(task)


def test_features_are_of_all_images_as_they_are() -> None:
    task = make_task()
    features = task.features()
    assert features.shape == (20, 16)
    assert torch.equal(features, task.features())
