import pytest

from daformer_kedro.evaluation.thinning import evenly_spaced


@pytest.mark.parametrize(
    ("count", "most", "positions"),
    [
        (3, 5, [0, 1, 2]),
        (11, 3, [0, 5, 10]),
        (100, 2, [0, 99]),
        (1, 4, [0]),
        (0, 4, []),
    ],
)
def test_positions_are_spread_evenly_with_both_ends(count, most, positions):
    assert evenly_spaced(count, most) == positions
