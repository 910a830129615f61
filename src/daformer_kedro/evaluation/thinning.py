"""Even choices of a few among many."""

from __future__ import annotations

import numpy as np


def evenly_spaced(count: int, most: int) -> list[int]:
    """Return at most ``most`` positions of 0 … ``count`` - 1, the ends among them."""
    return [int(i) for i in np.linspace(0, count - 1, min(count, most)).round()]
