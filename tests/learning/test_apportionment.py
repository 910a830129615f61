"""Whole numbers in proportion to shares."""

from __future__ import annotations

from daformer_kedro.learning.apportionment import apportion


def test_the_largest_remainders_are_rounded_up() -> None:
    # Quotas 4.7, 3.1 and 2.2 of 10: whole parts 4, 3 and 2, one more to 0.7.
    assert apportion(10, [47, 31, 22]) == [5, 3, 2]
    # Quotas of 5/3 each: of equal remainders the first two count.
    assert apportion(5, [1, 1, 1]) == [2, 2, 1]


def test_small_shares_get_the_least_and_the_others_divide_the_rest() -> None:
    # Quotas 0.1, 4.95 and 4.95; then 9 for two.
    assert apportion(10, [2, 99, 99], least=1) == [1, 5, 4]
    assert apportion(2, [5, 1, 1], least=1) == [2, 0, 0]  # 1.43, 0.29, 0.29


def test_limits_are_kept_and_the_rest_goes_to_others() -> None:
    # Quotas 6, 3 and 1, the first of at most 2: the others divide 8 as 6 and 2.
    assert apportion(10, [6, 3, 1], [2, 9, 9]) == [2, 6, 2]
    assert apportion(10, [6, 3, 1], [2, 1, 1]) == [2, 1, 1]
    assert apportion(0, [1, 1]) == [0, 0]
    assert apportion(3, []) == []


def test_the_total_is_kept_whatever_the_shares() -> None:
    shares = [112, 795, 301, 288, 250, 377, 420, 190, 155, 180]
    for total in range(10, 400):
        given = apportion(total, shares, least=1)
        assert sum(given) == total
        assert min(given) >= 1
        assert sorted(given) == [n for _, n in sorted(zip(shares, given, strict=True))]
