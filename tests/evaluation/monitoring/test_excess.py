"""More marked images than expected, against tables and another library."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import fisher_exact

from daformer_kedro.evaluation.monitoring.excess import excess_p_value, expected_share


def marks(marked: int, num: int) -> np.ndarray:
    return np.arange(num) < marked


@pytest.mark.parametrize(
    ("day", "reference"), [((3, 10), (5, 100)), ((0, 4), (2, 9)), ((7, 7), (0, 3))]
)
def test_one_class_is_fishers_exact_test(
    day: tuple[int, int], reference: tuple[int, int]
) -> None:
    table = [[day[0], day[1] - day[0]], [reference[0], reference[1] - reference[0]]]
    expected = fisher_exact(table, alternative="greater").pvalue
    zeros = np.zeros(day[1], np.int64), np.zeros(reference[1], np.int64)
    found = excess_p_value(zeros[0], marks(*day), zeros[1], marks(*reference))
    assert found == pytest.approx(expected)


def test_two_classes_are_counted_out() -> None:
    """All ways to choose the day's images within each class are equally likely."""
    strata = np.array([0, 0, 1])
    reference_strata = np.array([0, 0, 1, 1, 1])
    marked, reference = np.array([1, 0, 1], bool), np.array([1, 0, 0, 1, 0], bool)
    first, second = [1, 0, 1, 0], [1, 0, 1, 0]  # marks of all images of each class
    sums = [
        sum(first[i] for i in chosen) + second[one]
        for chosen in itertools.combinations(range(4), 2)
        for one in range(4)
    ]
    expected = sum(total >= 2 for total in sums) / len(sums)
    found = excess_p_value(strata, marked, reference_strata, reference)
    assert found == pytest.approx(expected)


def test_another_mix_of_classes_is_no_excess() -> None:
    # Half of class 0 is marked, nothing of class 1. The day is all class 0.
    reference_strata = np.repeat([0, 1], 50)
    reference = np.concatenate([marks(25, 50), marks(0, 50)])
    strata = np.zeros(40, np.int64)
    assert excess_p_value(strata, marks(20, 40), reference_strata, reference) > 0.4
    assert expected_share(strata, reference_strata, reference) == 0.5
    # Without regard to classes 20 of 40 against 25 of 100 would be an alarm.
    assert fisher_exact([[20, 20], [25, 75]], alternative="greater").pvalue < 0.01


def test_classes_that_the_reference_does_not_have() -> None:
    strata, reference = np.full(5, 7), np.zeros(10, np.int64)
    assert excess_p_value(strata, marks(5, 5), reference, marks(1, 10)) == 1
    assert expected_share(strata, reference, marks(1, 10)) == pytest.approx(0.1)
