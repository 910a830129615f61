"""AdamW with the published parameter groups, and its learning-rate schedules."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from timm.scheduler import CosineLRScheduler
from torch import nn

from daformer_kedro.config import TrainingConfig

_REFERENCE_BATCH = 512


def scaled_learning_rate(learning_rate: float, batch_size: int) -> float:
    """Linear scaling: a rate given for a batch of 512, for ``batch_size`` images."""
    return learning_rate * batch_size / _REFERENCE_BATCH


def make_optimiser(
    parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, betas 0.9 and 0.999.

    One-dimensional parameters (biases, norms, gates) are not decayed.

    Args:
        parameters: all of a model's; frozen ones are left out.
        learning_rate: already scaled for the batch.
        weight_decay: of the other parameters.
    """
    trainable = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def make_schedule(
    optimiser: torch.optim.Optimizer, training: TrainingConfig, epochs: int
) -> CosineLRScheduler:
    """Cosine over ``epochs`` after a linear warm-up, set by epoch through timm.

    Epoch ``e`` (from 0) trains with the rate after ``schedule.step(e)``.
    """
    return CosineLRScheduler(
        optimiser,
        # The rate of a single epoch is that of a cosine's first; timm warns of 1.
        t_initial=max(epochs, 2),
        lr_min=training.min_learning_rate,
        warmup_t=min(training.warmup_epochs, epochs - 1),
        warmup_lr_init=training.warmup_learning_rate,
    )
