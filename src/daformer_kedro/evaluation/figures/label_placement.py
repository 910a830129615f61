"""Places of labels that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spread(
    wanted: Sequence[float], gap: float, low: float, high: float
) -> NDArray[np.float64]:
    """Positions at least ``gap`` apart, within bounds, nearest to those wanted.

    Subtracting ``rank * gap`` turns "at least ``gap`` apart" into "not falling", so
    that least-squares isotonic regression (pooling of adjacent violators) solves it.

    Args:
        wanted: positions, in any order.
        gap: smallest distance, in the same unit; made smaller where they do not all
            fit between ``low`` and ``high``.
        low: lowest position allowed.
        high: highest position allowed.

    Returns:
        The positions, in the order given.
    """
    count = len(wanted)
    if count == 0:
        return np.empty(0)
    gap = min(gap, (high - low) / max(count - 1, 1))
    order = np.argsort(wanted, kind="stable")
    offsets = gap * np.arange(count)
    pools: list[tuple[float, int]] = []  # mean and size
    for value in np.asarray(wanted, dtype=float)[order] - offsets:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean = (mean * size + other * others) / (size + others)
            size += others
        pools.append((mean, size))
    level = np.repeat([mean for mean, _ in pools], [size for _, size in pools])
    placed = np.empty(count)
    placed[order] = np.clip(level, low, high - offsets[-1]) + offsets
    return placed
