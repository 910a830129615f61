"""The published recipe's training loop, ready for single steps."""

from __future__ import annotations

from typing import Any
from unittest import mock

from daformer_kedro.learning import training
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.trainer import Trainer
from daformer_kedro.learning.training import train_task
from daformer_kedro.model import DAFormer


def ready_to_step(
    model: DAFormer,
    data: TaskImages,
    settings: LearningSettings,
    teacher: DAFormer | None,
) -> Trainer:
    """Return the loop that ``train_task`` makes of these, before its first epoch."""
    made: list[Trainer] = []

    class NotRun(Trainer):
        def run(self, *_: Any) -> list[EpochRecord]:
            made.append(self)
            return []

    with mock.patch.object(training, "Trainer", NotRun):
        train_task(model, data, settings, teacher=teacher)
    model.train()
    return made[0]
