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


@dataclass(frozen=True)
class LearningSettings:
    """The sections of the parameters that both phases read."""

    training: TrainingConfig
    losses: LossesConfig
    augmentation: AugmentationConfig
    preprocessing: PreprocessingConfig
    seed: int


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
