"""Distance between mixes of classes, worked out by hand, and its test."""

from __future__ import annotations

import math

import numpy as np
import pytest

from daformer_kedro.evaluation.monitoring.class_mix import mix_distance, mix_p_value


def test_distances_by_hand() -> None:
    def entropy(p: float) -> float:
        return -p * math.log2(p) - (1 - p) * math.log2(1 - p)

    assert mix_distance(np.array([5, 0]), np.array([0, 9])) == pytest.approx(1)
    assert mix_distance(np.array([5, 10]), np.array([50, 100])) == pytest.approx(0)
    # (1/2, 1/2) and (1, 0): the mean is (3/4, 1/4).
    expected = math.sqrt(entropy(0.75) - entropy(0.5) / 2)
    assert mix_distance(np.array([7, 7]), np.array([3, 0])) == pytest.approx(expected)


def test_another_mix_is_found_and_the_same_one_is_not() -> None:
    generator = np.random.default_rng(0)
    reference = np.array([100, 100, 100])
    assert mix_p_value(np.array([11, 9, 10]), reference, 999, generator) > 0.2
    assert mix_p_value(np.array([25, 4, 1]), reference, 999, generator) <= 0.002


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    generator = np.random.default_rng(0)
    found = [
        mix_p_value(
            np.bincount(generator.integers(0, 3, 40), minlength=3),
            np.bincount(generator.integers(0, 3, 90), minlength=3),
            199,
            generator,
        )
        for _ in range(200)
    ]
    # Of 200 at level 0.1: between 8 and 33 in 99.7 % of all cases.
    assert 8 <= sum(p <= 0.1 for p in found) <= 33
