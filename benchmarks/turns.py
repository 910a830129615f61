"""Measuring several ways side by side on a machine that does other work too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def take_turns(
    actions: Mapping[str, Callable[[], Any]], repetitions: int
) -> dict[str, list[float]]:
    """Seconds of each action, which take turns, after one turn each to warm up.

    An action waits for its device itself.
    """
    measured: dict[str, list[float]] = {name: [] for name in actions}
    for repetition in range(repetitions + 1):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            if repetition:
                measured[name].append(time.perf_counter() - started)
    return measured


def median_ratio(measured: Mapping[str, Sequence[float]]) -> float:
    """Median over the turns of the first of two actions' seconds over the second's."""
    first, second = measured.values()
    return statistics.median(a / b for a, b in zip(first, second, strict=True))
