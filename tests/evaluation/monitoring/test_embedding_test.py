"""The kernel two-sample test: its statistic, its level and what it finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import normalize

from daformer_kedro.evaluation.monitoring import embedding_test
from daformer_kedro.evaluation.monitoring.embedding_test import (
    embedding_p_value,
    gaussian_kernel,
)
from daformer_kedro.evaluation.monitoring.observations import Baseline, Observations


def test_the_kernel_is_that_of_scikit_learn() -> None:
    points = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    unit = normalize(points)
    squares = ((unit[:, None] - unit[None]) ** 2).sum(-1)
    median = np.median(squares[np.triu_indices(12, 1)])
    expected = rbf_kernel(unit, gamma=1 / (2 * median))
    assert gaussian_kernel(points) == pytest.approx(expected, abs=1e-5)
    assert (gaussian_kernel(np.ones((3, 4), np.float32)) == 1).all()


def test_the_statistic_is_the_discrepancy_with_the_days_mix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its definition: means of the kernel within and between the two sets."""
    points = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    classes = np.array([0, 0, 1, 0, 0, 1, 1, 1, 2])  # three of the day, six others
    day = Observations(classes[:3], *[np.zeros(3)] * 2, points[:3])
    other = Observations(classes[3:], *[np.zeros(6)] * 2, points[3:])
    used = points[:8]  # class 2 is not in the day
    kernel = gaussian_kernel(used).astype(float)
    # Two thirds of the day are of class 0, so are two thirds of the reference.
    weights = np.concatenate([np.full(2, (2 / 3) / 2), np.full(3, (1 / 3) / 3)])
    own, cross = kernel[:3, :3].mean(), kernel[:3, 3:].mean(axis=0) @ weights
    expected = own - 2 * cross + weights @ kernel[3:, 3:] @ weights
    seen = []

    def watch(observed: float, draw: Any, most: int) -> float:
        seen.append(observed)
        return 1.0

    monkeypatch.setattr(embedding_test, "permutation_p_value", watch)
    embedding_p_value(day, other, 100, np.random.default_rng(0))
    assert seen == [pytest.approx(expected, rel=1e-4)]


@pytest.mark.parametrize(
    ("classes", "errors"), [([0, 1, 2] * 10, 0.1), ([0] * 20 + [1] * 8 + [2], 0.0)]
)
def test_false_alarms_are_as_rare_as_the_level_says(
    draw: Any, classes: list[int], errors: float
) -> None:
    """With the reference's mix of classes, or another one and a model that is right."""
    generator = np.random.default_rng(0)
    found = [
        embedding_p_value(
            draw(classes, generator, errors),
            draw([0, 1, 2] * 30, generator, errors),
            199,
            generator,
        )
        for _ in range(100)
    ]
    # Of 100 at level 0.1: between 3 and 19 in 99.7 % of all cases.
    assert 3 <= sum(p <= 0.1 for p in found) <= 19


def test_a_new_class_is_found(draw: Any, baseline: Baseline) -> None:
    generator = np.random.default_rng(0)
    quiet = draw([0, 1, 2] * 10, generator)
    new = draw([0, 1, 2] * 8 + [3] * 12, generator)
    reference = baseline.reference
    assert embedding_p_value(quiet, reference, 999, generator) > 0.05
    assert embedding_p_value(new, reference, 999, generator) <= 0.002


def test_more_images_than_are_needed_are_sampled(
    draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    monkeypatch.setattr(embedding_test, "MOST_IMAGES", 6)
    monkeypatch.setattr(embedding_test, "MOST_REFERENCE", 12)
    sizes = []
    kernel = gaussian_kernel
    monkeypatch.setattr(
        embedding_test, "gaussian_kernel", lambda e: sizes.append(len(e)) or kernel(e)
    )
    day, reference = (draw([0, 1] * 100, generator) for _ in range(2))
    embedding_p_value(day, reference, 20, generator)
    assert sizes[0] <= 18


def test_no_class_in_both_says_nothing(draw: Any) -> None:
    generator = np.random.default_rng(0)
    day, other = draw([3] * 5, generator), draw([1] * 5, generator)
    other = other.select(other.predicted == 1)
    assert embedding_p_value(day, other, 99, generator) == 1.0
