"""Two-sample test of embeddings: maximum mean discrepancy within predicted classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.evaluation.monitoring.observations import Observations
from daformer_kedro.evaluation.monitoring.permutation import permutation_p_value

MOST_IMAGES = 500
MOST_REFERENCE = 1000
"""More images than these would only cost time: a sample of them is tested."""


def embedding_p_value(
    day: Observations,
    reference: Observations,
    most_draws: int,
    generator: np.random.Generator,
) -> float:
    """Test whether embeddings of the same predicted class have the same distribution.

    The statistic is the squared maximum mean discrepancy (Gretton et al., "A Kernel
    Two-Sample Test", JMLR 2012) of unit embeddings under a Gaussian kernel of the
    median distance, with the reference weighted to the day's mix of predicted classes.
    Its distribution comes from permutations within predicted classes. Where nothing has
    changed the test is exact. Another mix of classes is no alarm as far as the model is
    right: images that it mistakes lie among those of a class that they are not of. A
    new class is one, since its images do not lie where those of the class they are
    taken for lie.

    Args:
        day: N images with embeddings.
        reference: M images with embeddings.
        most_draws: permutations at most.
        generator: draws the samples and the permutations.

    Returns:
        The p-value; 1 where no predicted class is in both.
    """
    shared = np.intersect1d(day.predicted, reference.predicted)
    day = _sample(day, shared, MOST_IMAGES, generator)
    # A class may lose its last image of the reference, hence again.
    reference = _sample(reference, shared, MOST_REFERENCE, generator)
    shared = np.intersect1d(day.predicted, reference.predicted)
    if not len(shared):
        return 1.0
    day, reference = (
        part.select(np.isin(part.predicted, shared)) for part in (day, reference)
    )
    strata = np.concatenate([day.predicted, reference.predicted])
    order = np.argsort(strata, kind="stable")
    weights = _weights(day.predicted, reference.predicted)[order]
    assert day.embeddings is not None
    assert reference.embeddings is not None
    embeddings = np.concatenate([day.embeddings, reference.embeddings])[order]
    kernel = gaussian_kernel(embeddings)
    _, groups = np.unique(strata[order], return_inverse=True)

    def draw(number: int) -> NDArray[np.float64]:
        # Sorted by class first, keys shuffle each class within its own places.
        keys = groups + generator.random((number, len(groups)))
        return _discrepancy(weights[np.argsort(keys, axis=1)], kernel)

    return permutation_p_value(
        float(_discrepancy(weights[None], kernel)[0]), draw, most_draws
    )


def gaussian_kernel(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return exp(-d² / 2m²) of unit embeddings, with m the median of distances d > 0.

    Args:
        embeddings: (N, E).

    Returns:
        (N, N); all 1 where all embeddings are the same.
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.maximum(lengths, np.finfo(np.float32).tiny)
    squares = np.maximum(2 - 2 * (unit @ unit.T), 0)
    np.fill_diagonal(squares, 0)
    positive = squares[squares > 0]
    if not len(positive):
        return np.ones_like(squares)
    kernel: NDArray[np.float32] = np.exp(-squares / (2 * np.median(positive)))
    return kernel


def _weights(
    day: NDArray[np.int64], reference: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Weights of all images: the day's mean minus the reference's, by the day's mix."""
    num_classes = int(max(day.max(), reference.max())) + 1
    mix = np.bincount(day, minlength=num_classes) / len(day)
    counts = np.bincount(reference, minlength=num_classes)
    of_reference = -mix[reference] / counts[reference]
    return np.concatenate([np.full(len(day), 1 / len(day)), of_reference]).astype(
        np.float32
    )


def _discrepancy(
    weights: NDArray[np.float32], kernel: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return w K w for each row w of weights (P, N)."""
    return np.einsum("pn,pn->p", weights @ kernel, weights).astype(np.float64)


def _sample(
    observed: Observations,
    classes: NDArray[np.int64],
    most: int,
    generator: np.random.Generator,
) -> Observations:
    rows = np.flatnonzero(np.isin(observed.predicted, classes))
    if len(rows) > most:
        rows = np.sort(generator.choice(rows, most, replace=False))
    return observed.select(rows)
