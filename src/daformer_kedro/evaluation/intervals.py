"""Confidence intervals of means, and how many pairs a difference needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence level of all intervals."""

POWER = 0.8
"""Chance to find a difference, for the number of pairs that it needs."""

_RESAMPLES = 9_999
_BATCH = 250
"""Resamples at a time: of the size of CIFAR-100's test set, a few megabytes a run."""


def t_interval(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of Student's interval of the mean down the rows.

    Args:
        values: (runs, ...) any number of measures of each run.

    Returns:
        (...) each; not a number for a single run.
    """
    from scipy.stats import t

    mean = values.mean(axis=0)
    if len(values) < 2:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    error = values.std(axis=0, ddof=1) / math.sqrt(len(values))
    reach = t.isf((1 - LEVEL) / 2, len(values) - 1) * error
    return mean - reach, mean + reach


def bootstrap_interval(
    differences: NDArray[np.float64], strata: NDArray[np.int64] | None
) -> tuple[float, float] | None:
    """Return the percentile interval of a mean over pairs and a sum over images.

    Pairs are drawn with replacement, and so are the images of each class, the same
    ones for every pair.

    Args:
        differences: (pairs, images) each image's part; (pairs, 1) without images.
        strata: (images,) class of each image; ``None`` keeps the images.

    Returns:
        ``None`` where there is neither a second pair nor an image to draw.
    """
    from scipy.stats import bootstrap

    num_pairs, num_images = differences.shape
    columns = np.arange(num_images)
    classes = [] if strata is None else np.unique(strata).tolist()
    images = [columns[strata == label] for label in classes]
    images = [members for members in images if len(members) > 1]
    kept = np.delete(differences, _joined(images), axis=1).sum(axis=1)  # (pairs,)
    pairs = [np.arange(num_pairs)] if num_pairs > 1 else []
    if not pairs and not images:
        return None

    def statistic(*drawn: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        sums = kept
        if images:
            chosen = np.concatenate(drawn[len(pairs) :], axis=axis)
            sums = kept + np.stack([d[chosen].sum(axis) for d in differences], axis)
        elif drawn[0].ndim > 1:
            sums = np.broadcast_to(kept, drawn[0].shape)
        return (np.take_along_axis(sums, drawn[0], axis) if pairs else sums).mean(axis)

    found = bootstrap(
        [*pairs, *images],
        statistic,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = found.confidence_interval
    return float(low), float(high)


def _joined(images: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *images])


def pairs_needed(deviation: float, difference: float = 1.0) -> int:
    """Return how many pairs find a difference, four times out of five.

    The smallest number with which a two-sided paired t-test at 5 % has a power of
    80 %.

    Args:
        deviation: of the differences between the runs of a pair, in points.
        difference: the true one, in points.
    """
    from scipy.stats import nct, norm, t

    tail = (1 - LEVEL) / 2
    # The normal distribution's number is never too large, and seldom far off.
    quantiles = norm.isf(tail) + norm.isf(1 - POWER)
    num = max(2, math.floor((quantiles * deviation / difference) ** 2))
    while deviation > 0:
        critical = t.isf(tail, num - 1)
        shift = difference * math.sqrt(num) / deviation
        power = nct.sf(critical, num - 1, shift) + nct.cdf(-critical, num - 1, shift)
        if not power < POWER:  # not a number where it is 1 to all digits
            break
        num += 1
    return num
