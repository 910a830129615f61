"""Test whether more images are marked, as unknown or as wrong, than is expected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def expected_share(
    strata: NDArray[np.int64],
    reference_strata: NDArray[np.int64],
    reference_marked: NDArray[np.bool_],
) -> float:
    """Return the share of marked images to expect with this mix of classes.

    Args:
        strata: (N,) classes of the images.
        reference_strata: (M,) those of the reference.
        reference_marked: (M,) whether its images are marked.

    Returns:
        The mean over the images of the share within their class, from 0 to 1. A class
        that the reference does not have counts with the share of all.
    """
    overall = float(reference_marked.mean())
    shares = {
        int(s): float(reference_marked[reference_strata == s].mean())
        for s in np.unique(reference_strata)
    }
    return float(np.mean([shares.get(int(s), overall) for s in strata]))


def excess_p_value(
    strata: NDArray[np.int64],
    marked: NDArray[np.bool_],
    reference_strata: NDArray[np.int64],
    reference_marked: NDArray[np.bool_],
) -> float:
    """Test one-sided, within classes, for more marked images than in the reference.

    If nothing has changed, the number of marked images of a class among those of the
    day is hypergeometric, given how many there are in day and reference together. The
    sum over the classes then has an exact distribution: this is the exact conditional
    test of a common odds ratio, which for one class is Fisher's. Another mix of classes
    alone is no alarm.

    Args:
        strata: (N,) classes of the images.
        marked: (N,) whether they are marked.
        reference_strata: (M,) classes of the reference.
        reference_marked: (M,) whether its images are marked.

    Returns:
        The probability of as many marked images or more. Images of classes that the
        reference does not have say nothing; 1 where no others are left.
    """
    from scipy.stats import hypergeom  # a second to import

    distribution, least, observed = np.ones(1), 0, 0
    for stratum in np.intersect1d(strata, reference_strata):
        day = marked[strata == stratum]
        reference = reference_marked[reference_strata == stratum]
        total, both = len(day) + len(reference), int(day.sum() + reference.sum())
        low, high = max(0, both - len(reference)), min(len(day), both)
        within = hypergeom.pmf(np.arange(low, high + 1), total, both, len(day))
        distribution = np.convolve(distribution, within)
        least += low
        observed += int(day.sum())
    return float(min(1.0, distribution[observed - least :].sum()))
