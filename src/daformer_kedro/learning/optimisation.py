"""AdamW with the published parameter groups, and its learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from daformer_kedro.config import TrainingConfig

_REFERENCE_BATCH = 512


def scaled_learning_rate(learning_rate: float, batch_size: int) -> float:
    """Linear scaling: a rate given for a batch of 512, for ``batch_size`` images."""
    return learning_rate * batch_size / _REFERENCE_BATCH


def make_optimiser(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    scales: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, betas 0.9 and 0.999.

    One-dimensional parameters (biases, norms, gates) are not decayed. The first two
    groups, decayed and not, have the rate itself; two more follow for each factor. A
    group's ``initial_lr`` is the rate that it begins with, a number; on a GPU its rate
    is a tensor, which a CUDA graph reads at each replay.

    Args:
        parameters: all of a model's; frozen ones are left out.
        learning_rate: already scaled for the batch.
        weight_decay: of the other parameters.
        scales: factors of the learning rate, of the parameters that have another.
    """
    trainable = [p for p in parameters if p.requires_grad]
    factors = dict.fromkeys(trainable, 1.0)
    factors |= {p: scale for p, scale in (scales or {}).items() if p in factors}
    groups: list[dict[str, Any]] = []
    for factor in (1.0, *sorted({*factors.values()} - {1.0}, reverse=True)):
        own = [p for p in trainable if factors[p] == factor]
        rate = learning_rate * factor
        matrices, vectors = (
            [p for p in own if p.ndim > 1],
            [p for p in own if p.ndim <= 1],
        )
        groups += [
            {"params": matrices, "weight_decay": weight_decay, "initial_lr": rate},
            {"params": vectors, "weight_decay": 0.0, "initial_lr": rate},
        ]
    for group in groups:
        group["lr"] = _as_rate(group["initial_lr"], trainable[0].device)
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def _as_rate(rate: float, device: torch.device) -> float | Tensor:
    return torch.full((), rate, device=device) if device.type == "cuda" else rate


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Give a parameter group a learning rate; a tensor stays where it is."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def load_state(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's state, of whatever device; rates are the initial ones."""
    rates = [group["lr"] for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate
        set_rate(group, group["initial_lr"])


@dataclass(frozen=True)
class CosineSchedule:
    """A cosine from the peak to the lowest rate, after a linear warm-up.

    PyTorch's own schedulers count the cosine from the end of the warm-up, and work each
    rate out from the one before. The published recipe counts it from the first epoch;
    here each rate follows from its epoch alone, so that a resumed training has it too.
    A group whose peak is a share of the first group's has that share of its rate in
    every epoch, warm-up and end included.

    Attributes:
        optimiser: whose rates are set; they are at their peak when this is made.
        peaks: rate of each parameter group.
        epochs: length of the cosine.
        lowest: rate at its end.
        warmup_epochs: epochs before the cosine sets the rate.
        warmup_start: rate of the first warm-up epoch.
    """

    optimiser: torch.optim.Optimizer
    peaks: tuple[float, ...]
    epochs: int
    lowest: float
    warmup_epochs: int
    warmup_start: float

    def step(self, epoch: float) -> float:
        """Set the rates that an epoch, counted from 0, trains with.

        A fraction is a place between two epochs, of a training that must end earlier.

        Returns:
            The first group's rate.
        """
        first = self.peaks[0]
        rate = self.rate(epoch, first)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            set_rate(group, rate * (peak / first))
        return rate

    def rate(self, epoch: float, peak: float) -> float:
        """Return the rate of an epoch."""
        if epoch < self.warmup_epochs:
            rise = (peak - self.warmup_start) / self.warmup_epochs
            return self.warmup_start + epoch * rise
        cosine = 1 + math.cos(math.pi * epoch / self.epochs)
        return self.lowest + 0.5 * (peak - self.lowest) * cosine


@dataclass(frozen=True)
class ConstantSchedule:
    """The rates that an optimiser begins with, in every epoch.

    Attributes:
        optimiser: whose rates stay.
    """

    optimiser: torch.optim.Optimizer

    def step(self, epoch: float) -> float:
        """Return the first group's rate."""
        return float(self.optimiser.param_groups[0]["initial_lr"])


def make_schedule(
    optimiser: torch.optim.Optimizer, training: TrainingConfig, epochs: int
) -> CosineSchedule:
    """Return the schedule over ``epochs``; epoch ``e`` trains after ``step(e)``."""
    return CosineSchedule(
        optimiser,
        peaks=tuple(group["initial_lr"] for group in optimiser.param_groups),
        epochs=epochs,
        lowest=training.min_learning_rate,
        warmup_epochs=min(training.warmup_epochs, epochs - 1),
        warmup_start=training.warmup_learning_rate,
    )
