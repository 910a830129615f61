import pytest

from daformer_kedro.evaluation.percent import percent
from daformer_kedro.evaluation.split import is_on_validation


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.96874, "96.87"), (1, "100.00"), (-0.00001, "0.00"), (-0.0244, "-2.44")],
)
def test_fractions_are_printed_in_percent_with_two_decimals(value, text):
    assert percent(value) == text


def test_what_is_missing_is_a_dash():
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"source": {"validation_fraction": 0.2}}, True),
        ({"source": {"validation_fraction": None}}, False),
        ({"source": {}}, False),
        ({}, False),
    ],
)
def test_validation_images_are_told_by_their_share(settings, expected):
    assert is_on_validation(settings) is expected
