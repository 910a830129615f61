"""Calibration: from logits to probabilities that can be relied on.

The training loss is one binary cross-entropy per class, over heads learnt at different
times, so a softmax of the logits is not a probability. A temperature, and a bias for
each task where it helps, correct that (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017), fitted on the rehearsal memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_NUM_BINS = 15
_NUM_FOLDS = 5
_LEAST_GAIN = 0.005  # of cross-validated log-likelihood, for biases to be used


@dataclass(frozen=True)
class Shrinkage:
    """Factors from 0 to 1 that shrink what was fitted on the memory.

    The network was trained on its memory and is surer of it than of new images. The
    defaults were chosen on training images held out by ``benchmarks/calibration.py``;
    see docs/decisions/0030-using-a-model.md.

    Attributes:
        log_temperature: for the temperature's logarithm.
        bias: for each task's bias.
    """

    log_temperature: float = 0.375
    bias: float = 0.5


@dataclass(frozen=True)
class Calibration:
    """Map from logits to probabilities: softmax of ``logits / temperature + bias``.

    Attributes:
        temperature: divides the logits.
        task_biases: added to all logits of a task; ``None`` for none.
    """

    temperature: float = 1.0
    task_biases: tuple[float, ...] | None = None

    def logits(self, logits: Tensor, task_sizes: Sequence[int]) -> Tensor:
        """Return calibrated logits (N, C) of logits (N, C) in task order."""
        scaled = logits / self.temperature
        if self.task_biases is None:
            return scaled
        return scaled + _by_class(torch.tensor(self.task_biases), task_sizes).to(scaled)

    def probabilities(self, logits: Tensor, task_sizes: Sequence[int]) -> Tensor:
        """Return probabilities (N, C); the rows sum to 1."""
        return self.logits(logits, task_sizes).softmax(dim=1)

    def to_json(self) -> dict[str, Any]:
        """Return the values that JSON stores."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Read what :meth:`to_json` returned; other keys are ignored."""
        biases = values.get("task_biases")
        temperature = float(values.get("temperature", 1.0))
        return cls(temperature, None if biases is None else tuple(biases))


def fit_calibration(
    logits: Tensor,
    targets: Tensor,
    task_sizes: Sequence[int],
    shrinkage: Shrinkage = Shrinkage(),
) -> Calibration:
    """Fit a calibration on images of the rehearsal memory.

    The temperature that makes the memory likeliest is far too small for new images, so
    its logarithm is shrunk, and so are the biases. Biases are used only where they
    raise the log-likelihood of folds of the memory that they were not fitted on.

    Args:
        logits: (N, C) of the memory's images.
        targets: (N,) their classes.
        task_sizes: classes of each task.
        shrinkage: how far to shrink what was fitted.
    """
    logits, targets = logits.double(), targets.long()
    with_biases = len(task_sizes) > 1 and _biases_help(logits, targets, task_sizes)
    log_temperature, biases = _fit(logits, targets, task_sizes, with_biases)
    temperature = float((shrinkage.log_temperature * log_temperature).exp())
    kept = tuple(float(b) for b in shrinkage.bias * biases)
    return Calibration(temperature, kept if with_biases else None)


def expected_calibration_error(probabilities: Tensor, targets: Tensor) -> float:
    """Return the mean gap between confidence and accuracy, over 15 equal bins.

    Args:
        probabilities: (N, C).
        targets: (N,).

    Returns:
        A fraction of 1, the bins weighted by their images.
    """
    confidence, chosen = probabilities.double().max(dim=1)
    right = (chosen == targets).double()
    # The bin of confidence 1 is the last one; a bin holds its upper edge.
    bins = (confidence * _NUM_BINS).ceil().long().clamp(1, _NUM_BINS) - 1
    gaps = torch.zeros(_NUM_BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, right - confidence)
    return float(gaps.abs().sum() / max(1, len(targets)))


def _by_class(values: Tensor, task_sizes: Sequence[int]) -> Tensor:
    return torch.repeat_interleave(values, torch.tensor(list(task_sizes)))


def _biases_help(logits: Tensor, targets: Tensor, task_sizes: Sequence[int]) -> bool:
    fold_of = torch.arange(len(targets)) % _NUM_FOLDS
    losses = [0.0, 0.0]
    for fold in range(min(_NUM_FOLDS, len(targets))):
        fitted, held = fold_of != fold, fold_of == fold
        for with_biases in (False, True):
            log_temperature, biases = _fit(
                logits[fitted], targets[fitted], task_sizes, with_biases
            )
            scores = logits[held] / log_temperature.exp()
            scores = scores + _by_class(biases, task_sizes)
            loss = F.cross_entropy(scores, targets[held], reduction="sum")
            losses[with_biases] += float(loss)
    return losses[0] - losses[1] > _LEAST_GAIN * len(targets)


def _fit(
    logits: Tensor, targets: Tensor, task_sizes: Sequence[int], with_biases: bool
) -> tuple[Tensor, Tensor]:
    """Return the likeliest log temperature and biases per task, whose mean is 0."""
    with torch.inference_mode(False), torch.enable_grad():
        logits, targets = logits.clone(), targets.clone()
        log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
        biases = torch.zeros(len(task_sizes), dtype=torch.float64)
        biases.requires_grad_(with_biases)
        fitted = [log_scale, biases] if with_biases else [log_scale]
        optimiser = torch.optim.LBFGS(
            fitted, max_iter=200, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            optimiser.zero_grad()
            shift = _by_class(biases - biases.mean(), task_sizes)
            value = F.cross_entropy(logits * log_scale.exp() + shift, targets)
            # Keeps what separates perfectly from running to infinity.
            value = value + 1e-3 * (log_scale.square() + biases.square().sum())
            value.backward()
            return value

        optimiser.step(loss)
        found = biases.detach()
        return -log_scale.detach(), found - found.mean()
