"""p-values by permutation, with as many draws as it takes to decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_ENOUGH = 20
"""So many draws at least as extreme as the observation say that it is ordinary."""
_CHUNK = 200


def permutation_p_value(
    observed: float,
    draw: Callable[[int], NDArray[np.float64]],
    most_draws: int,
) -> float:
    """Return the probability of a statistic as large as the observed one.

    Draws end as soon as twenty of them were as large (Besag and Clifford, "Sequential
    Monte Carlo p-values", Biometrika 1991): where nothing has changed that is soon, and
    a small p-value gets all the draws that it needs. The result is a valid p-value in
    both cases.

    Args:
        observed: the statistic.
        draw: given a number, returns as many statistics under the null hypothesis.
        most_draws: after so many the result is (1 + as large) / (1 + drawn).
    """
    # Rounding must not make a permutation that changes nothing smaller than it.
    least = observed - 1e-9 * abs(observed)
    drawn = as_large = 0
    while drawn < most_draws:
        number = min(_CHUNK, most_draws - drawn)
        places = np.flatnonzero(draw(number) >= least)
        if as_large + len(places) >= _ENOUGH:
            last = int(places[_ENOUGH - as_large - 1])
            return _ENOUGH / (drawn + last + 1)
        as_large += len(places)
        drawn += number
    return (1 + as_large) / (1 + drawn)
