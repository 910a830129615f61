"""Ridge regression on features of a fixed encoder, in closed form.

McDonnell et al., "RanPAC: Random Projections and Pre-trained Models for Continual
Learning", NeurIPS 2023, without the adaptation of the encoder to the first task: with
features H (N, M) and one-hot targets Y (N, C) of all images so far, the weights are
(HᵀH + λI)⁻¹ HᵀY. Both products are sums over images.
"""

from __future__ import annotations

import logging
import math

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from daformer_kedro.methods.classifiers import LinearClassifier, random_features
from daformer_kedro.methods.closed_form import (
    Classifiers,
    ClosedFormMethod,
    Statistics,
    TaskFeatures,
    class_sums,
    with_rows,
)
from daformer_kedro.methods.held_out import ONE_IN, held_out
from daformer_kedro.validation import STRICT, NonNegativeInt, PositiveFloat

_LOGGER = logging.getLogger(__name__)
_CANDIDATES = tuple(10.0**exponent for exponent in range(-8, 2))
"""λ, as a share of the mean of the diagonal of HᵀH."""
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, config=STRICT)
class RidgeSettings:
    """Settings of :class:`Ridge`.

    Attributes:
        num_random_features: M, random features ReLU(e P) with standard normal P; 0
            takes the encoder's own features.
        ridge: λ as a share of the mean of the diagonal of HᵀH; ``None`` chooses it on
            one in five training images of each class.
    """

    num_random_features: NonNegativeInt = 0
    ridge: PositiveFloat | None = None


class Ridge(ClosedFormMethod):
    """A linear classifier, equal to that of all images seen so far at once."""

    label = "ridge regression on a fixed encoder"
    Settings = RidgeSettings
    classifier_types = (LinearClassifier,)

    def add_task(self, before: Statistics | None, task: TaskFeatures) -> Statistics:
        """Add the task's products, of fitted and of held-out images apart.

        Which images of a class are held out depends on no other class.
        """
        shared = super().add_task(before, task)
        projection = self._projection(before, task)
        held = held_out(task.targets, task.sample_index)
        added: dict[str, Tensor] = {}
        for name, chosen in (("fitted", ~held), ("held", held)):
            added |= _products(task, chosen, projection, name)
        if before is not None:
            for name, value in added.items():
                old = before[name]
                if not name.endswith("gram"):
                    old = with_rows(old, task.num_classes)
                value += old
        if projection is not None:
            added["projection"] = projection
        return {**shared, **added}

    def classifiers(self, statistics: Statistics) -> Classifiers:
        """Solve for the weights, with the λ that tells held-out images apart best."""
        fitted, held = (
            (_unpacked(statistics[f"{name}_gram"]), statistics[f"{name}_sums"])
            for name in ("fitted", "held")
        )
        ridge = self.settings.ridge
        if ridge is None:
            ridge = _best_ridge(*fitted, *held, statistics["held_counts"])
        projection = statistics.get("projection")
        final = _solve(fitted[0] + held[0], fitted[1] + held[1], ridge)
        return Classifiers(
            final=LinearClassifier(final.float(), projection),
            fitted=LinearClassifier(_solve(*fitted, ridge).float(), projection),
        )

    def _projection(
        self, before: Statistics | None, task: TaskFeatures
    ) -> Tensor | None:
        num_random = self.settings.num_random_features
        if num_random == 0:
            return None
        if before is not None:
            return before["projection"]
        generator = torch.Generator().manual_seed(task.seed)
        return torch.randn(task.features.shape[1], num_random, generator=generator)


def _products(
    task: TaskFeatures, chosen: Tensor, projection: Tensor | None, name: str
) -> dict[str, Tensor]:
    """Return HᵀH as its lower triangle, YᵀH (C, M) and images by class (C,).

    Each image counts as often as its weight says.
    """
    places = chosen.nonzero()[:, 0]
    width = task.features.shape[1] if projection is None else projection.shape[1]
    gram = torch.zeros((width, width), dtype=torch.float64)
    sums = torch.zeros((task.num_classes, width), dtype=torch.float64)
    for part in places.split(_ROWS_AT_ONCE):
        for version in task.versions:
            features = random_features(version[part], projection).double()
            weighted = features
            if task.weights is not None:
                weighted = features * task.weights[part, None]
            gram.addmm_(weighted.T, features)
            sums += class_sums(weighted, task.targets[part], task.num_classes)
    weights = None if task.weights is None else task.weights[places]
    counts = torch.bincount(task.targets[places], weights, minlength=task.num_classes)
    counts *= len(task.versions)
    return {
        f"{name}_gram": _packed(gram),
        f"{name}_sums": sums,
        f"{name}_counts": counts.double(),
    }


def _best_ridge(
    fitted_gram: Tensor, fitted_sums: Tensor, gram: Tensor, sums: Tensor, counts: Tensor
) -> float:
    """Return the λ with which held-out images are told apart best.

    Args:
        fitted_gram: (M, M) of the images that the weights are fitted to.
        fitted_sums: (C, M).
        gram: (M, M) of held-out images.
        sums: (C, M).
        counts: (C,) held-out images of each class.
    """
    best, least = _CANDIDATES[-1], math.inf
    for ridge in reversed(_CANDIDATES):  # the larger one where two are as good
        weights = _solve(fitted_gram, fitted_sums, ridge)
        if bool(weights.isfinite().all()):
            error = _estimated_error(weights, gram, sums, counts)
            if error < least:
                best, least = ridge, error
    _LOGGER.info(
        "ridge: %g of the mean squared feature, chosen on one in %d training images",
        best,
        ONE_IN,
    )
    return best


def _estimated_error(
    weights: Tensor, gram: Tensor, sums: Tensor, counts: Tensor
) -> float:
    """Estimate how often a class loses to its strongest rival, from products alone.

    The difference of two classes' scores is taken to be normal, with the mean of the
    first class's images and the covariance of all classes around their means, as linear
    discriminant analysis does. The squared error of the targets would also be known,
    but its λ is too large for many classes (docs/results/photographs.md).

    Args:
        weights: (C, M).
        gram: HᵀH (M, M) of the images to estimate it on.
        sums: YᵀH (C, M) of them.
        counts: (C,) of them; classes without any are left out.

    Returns:
        A share of the images; infinity where there are no images.
    """
    there = counts > 0
    if not bool(there.any()):
        return math.inf
    counts, means = counts[there], sums[there] / counts[there, None]
    weights = weights[there]
    scores = means @ weights.T  # of each class's mean image (rows), for each class
    between = scores.T @ (scores * counts[:, None])
    covariance = (weights @ gram @ weights.T - between) / counts.sum()
    margins = scores.diagonal()[:, None] - scores
    own = covariance.diagonal()
    variances = (own[:, None] + own - 2 * covariance).clamp(min=1e-12)
    errors = torch.special.ndtr(-margins / variances.sqrt()).fill_diagonal_(0)
    return float(errors.max(dim=1).values @ counts / counts.sum())


def _solve(gram: Tensor, sums: Tensor, ridge: float) -> Tensor:
    """Return the weights (C, M) of least squared error plus λ times their own."""
    scale = float(gram.diagonal().mean()) or 1.0
    regularised = gram.clone()
    regularised.diagonal().add_(ridge * scale)
    factor, failed = torch.linalg.cholesky_ex(regularised)
    if bool(failed):  # too small a λ for the precision
        return torch.full_like(sums, torch.nan)
    return torch.cholesky_solve(sums.T, factor).T


def _packed(gram: Tensor) -> Tensor:
    """Return the lower triangle of (M, M), row after row: half of the bytes."""
    return torch.cat([row[: place + 1] for place, row in enumerate(gram)])


def _unpacked(packed: Tensor) -> Tensor:
    """Return the symmetric matrix (M, M) of :func:`_packed`."""
    width = int(((8 * len(packed) + 1) ** 0.5 - 1) // 2)
    gram = packed.new_empty((width, width))
    for place, row in enumerate(packed.split(list(range(1, width + 1)))):
        gram[place, : place + 1] = row
        gram[: place + 1, place] = row
    return gram
