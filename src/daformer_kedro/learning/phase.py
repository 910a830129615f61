"""Settings of one phase of learning a task."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from daformer_kedro.config import (
    AugmentationConfig,
    PreprocessingConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.model import DAFormer
from daformer_kedro.parallel.process_group import SINGLE_PROCESS, ProcessGroup
from daformer_kedro.storage.state_file import StateFile


@dataclass(frozen=True)
class LearningSettings:
    """The sections of the parameters that both phases read."""

    training: TrainingConfig
    losses: LossesConfig
    augmentation: AugmentationConfig
    preprocessing: PreprocessingConfig
    seed: int


@dataclass(frozen=True)
class PhaseInputs:
    """What a phase works with, besides the model that it changes.

    Attributes:
        data: images to train on, on the model's device.
        teacher: frozen model of the task before.
        validation: images to choose the best epoch by.
        state: file to resume from, and to save to while the training continues.
        group: the processes that train the model together.
    """

    data: TaskImages
    teacher: DAFormer | None = None
    validation: TaskImages | None = None
    state: StateFile | None = None
    group: ProcessGroup = SINGLE_PROCESS


@dataclass(frozen=True)
class PhaseConfig:
    """Settings of one phase of one task.

    Attributes:
        task: number of the task, from 0.
        name: ``train`` or ``finetune``.
        epochs: epochs in all.
        batch_size: images per step.
        repeats: see :func:`~daformer_kedro.learning.sampling.epoch_batches`.
        class_balance: see :mod:`~daformer_kedro.learning.class_balance`.
        sharpness: sharpness-aware minimisation; ``rho`` 0 is off.
        clip_norm: largest gradient norm, ``None`` for no clipping.
        precision: type of autocast; float32 for no autocast.
        as_graph: whether steps are replays of a CUDA graph.
    """

    task: int
    name: str
    epochs: int
    batch_size: int
    repeats: int = 1
    class_balance: str = "none"
    sharpness: SharpnessConfig = field(default_factory=SharpnessConfig)
    clip_norm: float | None = None
    precision: torch.dtype = torch.float32
    as_graph: bool = False
