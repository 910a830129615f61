import numpy as np
import pytest

from daformer_kedro.evaluation.figures.label_placement import spread


def test_labels_far_apart_stay_where_they_are():
    np.testing.assert_allclose(spread([5, 1, 9], 2, 0, 10), [5, 1, 9])


def test_two_labels_at_one_place_move_apart_by_half_the_gap_each():
    np.testing.assert_allclose(spread([5, 5], 2, 0, 10), [4, 6])


def test_a_pushed_label_pushes_the_next():
    # 4 and 5 want to become 3.5 and 5.5, where 6 is nearer than 2: all three move
    # so that their mean stays at 5.
    np.testing.assert_allclose(spread([6, 4, 5], 2, 0, 10), [7, 3, 5])


def test_labels_stay_within_bounds():
    np.testing.assert_allclose(spread([0, 0, 10, 10], 2, 0, 10), [0, 2, 8, 10])


def test_the_gap_gives_way_where_labels_do_not_fit():
    np.testing.assert_allclose(spread([5] * 6, 4, 0, 10), [0, 2, 4, 6, 8, 10])


def test_no_label():
    assert spread([], 2, 0, 10).size == 0


@pytest.mark.parametrize("seed", range(5))
def test_order_and_gap_hold_for_random_places(seed):
    wanted = np.random.default_rng(seed).uniform(0, 100, 20)
    placed = spread(wanted, 4, 0, 100)
    assert np.array_equal(np.argsort(wanted), np.argsort(placed))
    assert np.diff(np.sort(placed)).min() > 4 - 1e-9
    assert placed.min() >= -1e-9
    assert placed.max() <= 100 + 1e-9
