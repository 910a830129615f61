"""Intervals beside a bootstrap written out by hand, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from daformer_kedro.evaluation.intervals import (
    bootstrap_interval,
    pairs_needed,
    t_interval,
)


def by_hand(
    differences: np.ndarray, strata: np.ndarray, count: int
) -> tuple[float, float]:
    generator = np.random.default_rng(5)
    means = []
    for _ in range(count):
        pairs = generator.integers(len(differences), size=len(differences))
        total = 0.0
        for label in np.unique(strata):
            images = np.flatnonzero(strata == label)
            drawn = generator.choice(images, size=len(images))
            total += differences[pairs][:, drawn].sum(axis=1).mean()
        means.append(total)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("num_pairs", [1, 4])
def test_an_interval_is_that_of_a_bootstrap_by_hand(num_pairs: int) -> None:
    generator = np.random.default_rng(0)
    shifts = generator.normal(0.02, 0.02, size=(num_pairs, 1))
    differences = shifts + generator.normal(0, 0.3, size=(num_pairs, 60))
    strata = np.repeat([0, 1, 2], [10, 20, 30])
    found = bootstrap_interval(differences, strata)
    assert found is not None
    assert found == pytest.approx(by_hand(differences, strata, 6_000), abs=0.3)
    width = found[1] - found[0]
    assert 2 < width < 20  # so that 0.3 is little


def test_images_of_one_class_stay_and_runs_alone_are_drawn() -> None:
    values = np.array([[0.0], [4.0]])
    # Drawn twice from two: 0, 2, 2 or 4.
    assert bootstrap_interval(values, None) == (0.0, 4.0)
    single = np.array([[1.0, 2.0], [1.0, 2.0]])
    assert bootstrap_interval(single, np.array([0, 1])) == (3.0, 3.0)
    assert bootstrap_interval(np.array([[1.0]]), None) is None
    assert bootstrap_interval(np.array([[1.0, 2.0]]), np.array([0, 1])) is None


def test_students_interval_is_the_textbooks() -> None:
    # Mean 2, deviation 1, three values: 2 ± 4.3027 / sqrt 3.
    low, high = t_interval(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))
    assert low.tolist() == pytest.approx([2 - 2.48414, 5], abs=1e-4)
    assert high.tolist() == pytest.approx([2 + 2.48414, 5], abs=1e-4)
    assert np.isnan(t_interval(np.array([1.0]))).all()


@pytest.mark.parametrize(
    ("deviation", "needed"),
    # G*Power, paired t-test, two tails, effects 1, 0.8, 0.5 and 0.2.
    [(1.0, 10), (1.25, 15), (2.0, 34), (5.0, 199), (0.0, 2), (0.01, 2)],
)
def test_the_power_is_that_of_published_tables(deviation: float, needed: int) -> None:
    assert pairs_needed(deviation) == needed
    assert pairs_needed(3 * deviation, difference=3.0) == needed
