"""A method's own choice of exemplars: what is allowed, and what is refused."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from daformer_kedro.errors import InputError
from daformer_kedro.learning.candidates import Candidates

PREVIOUS = pd.DataFrame({"sample_index": [4, 7], "target": [0, 0], "rank": [0, 1]})
NEW = pd.DataFrame({"sample_index": [9, 2, 5], "target": [1, 1, 1]})


def candidates() -> Candidates:
    return Candidates(
        PREVIOUS,
        NEW,
        torch.zeros(3, 2),
        torch.zeros(3, 2),
        quota=2,
        num_classes=2,
        generator=torch.Generator(),
    )


def table(*rows: tuple[int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["sample_index", "target", "rank"])


def test_a_choice_is_sorted_and_has_three_columns_of_integers() -> None:
    # Three of the new class and one of the old: within the budget of 2 times 2.
    chosen = table((2, 1, 2), (9, 1, 0), (4, 0, 0), (5, 1, 1)).assign(more=0.5)
    chosen["rank"] = chosen["rank"].astype(float)
    memory = candidates().checked(chosen, "own")
    pd.testing.assert_frame_equal(
        memory, table((4, 0, 0), (9, 1, 0), (5, 1, 1), (2, 1, 2))
    )


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (table((3, 0, 0)), "1 exemplars, of which 1 are no candidates"),
        (table((9, 0, 0)), "1 are no candidates of that class"),
        (table((9, 1, 0), (9, 1, 1)), "0 are no candidates of that class and 1 come"),
        (
            table((4, 0, 0), (7, 0, 1), (9, 1, 0), (2, 1, 1), (5, 1, 2)),
            "chose 5 exemplars, .* allowed: up to 4",
        ),
        (table((9, 1, 0)).drop(columns="rank"), r"without \['rank'\]"),
    ],
)
def test_a_choice_of_anything_else_is_refused(
    chosen: pd.DataFrame, message: str
) -> None:
    with pytest.raises(InputError, match=f"baseline = own .*{message}"):
        candidates().checked(chosen, "own")
