"""p-values by permutation: when draws end, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from daformer_kedro.evaluation.monitoring.permutation import permutation_p_value


def of(values: list[float]) -> tuple[list[int], object]:
    """A draw that hands out ``values`` one after another, and how many were asked."""
    asked: list[int] = []

    def draw(number: int) -> np.ndarray:
        begin = sum(asked)
        asked.append(number)
        return np.array(values[begin : begin + number])

    return asked, draw


def test_twenty_as_large_end_the_draws() -> None:
    # Every second draw is as large: the twentieth of them is draw number 40.
    asked, draw = of([0.0, 1.0] * 500)
    assert permutation_p_value(1.0, draw, 1000) == 20 / 40  # type: ignore[arg-type]
    assert sum(asked) < 1000


def test_a_small_p_value_gets_all_draws() -> None:
    asked, draw = of([1.0] * 3 + [0.0] * 996)
    found = permutation_p_value(1.0, draw, 999)  # type: ignore[arg-type]
    assert found == pytest.approx(4 / 1000)
    assert sum(asked) == 999


def test_what_is_equal_but_for_rounding_counts_as_equal() -> None:
    _, draw = of([0.1 + 0.2] * 100)
    above = np.nextafter(0.1 + 0.2, 1)
    assert permutation_p_value(above, draw, 100) == 1.0  # type: ignore[arg-type]
