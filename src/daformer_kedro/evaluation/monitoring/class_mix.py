"""Mix of predicted classes beside that of the reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.evaluation.monitoring.permutation import permutation_p_value


def mix_distance(
    counts: NDArray[np.int64], reference: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the Jensen-Shannon distance between class mixes, from 0 to 1.

    Args:
        counts: (..., C) images of each class.
        reference: (C,).
    """
    from scipy.spatial.distance import jensenshannon  # a second to import

    other = np.broadcast_to(reference, counts.shape)
    distance: NDArray[np.float64] = jensenshannon(counts, other, base=2, axis=-1)
    return np.nan_to_num(distance)  # of the same mix, rounding may take a root of -0


def mix_p_value(
    counts: NDArray[np.int64],
    reference: NDArray[np.int64],
    most_draws: int,
    generator: np.random.Generator,
) -> float:
    """Test by permutation whether two sets of images have the same mix of classes.

    Args:
        counts: (C,) images of each class on a day.
        reference: (C,) in the reference.
        most_draws: permutations at most.
        generator: draws them.
    """
    together, num = counts + reference, int(counts.sum())

    def draw(number: int) -> NDArray[np.float64]:
        drawn = generator.multivariate_hypergeometric(together, num, number)
        return _statistic(drawn, together)

    observed = float(_statistic(counts[None], together)[0])
    return permutation_p_value(observed, draw, most_draws)


def _statistic(
    drawn: NDArray[np.int64], together: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance of each row (P, C) from what is left of all."""
    from scipy.spatial.distance import jensenshannon

    distance: NDArray[np.float64] = jensenshannon(drawn, together - drawn, axis=-1)
    return np.nan_to_num(distance)
