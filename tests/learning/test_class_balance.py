"""Shares of the classes in an epoch."""

from __future__ import annotations

import pytest
import torch

from daformer_kedro.learning.class_balance import class_draws, image_weights
from daformer_kedro.learning.sampling import epoch_batches

# Classes 0, 1 and 3 of 64, 16 and 4 images.
TARGETS = torch.tensor([0] * 64 + [3] * 4 + [1] * 16)


@pytest.mark.parametrize(
    ("class_balance", "expected"),
    [
        ("sqrt", [48, 24, 0, 12]),  # roots 8, 4 and 2 of 14, times 84
        ("full", [28, 28, 0, 28]),
    ],
)
def test_an_epoch_has_as_many_of_each_class_as_its_share(
    class_balance: str, expected: list[int]
) -> None:
    draws = class_draws(class_balance, TARGETS)
    assert draws is not None
    assert draws.tolist() == expected
    generator = torch.Generator().manual_seed(0)
    first, second = (
        torch.cat(epoch_batches(84, 12, 1, generator, draws, TARGETS)) for _ in range(2)
    )
    for drawn in (first, second):
        assert torch.bincount(TARGETS[drawn]).tolist() == expected
        times = torch.bincount(drawn, minlength=84)
        for target in (0, 1, 3):  # images of a class are drawn equally often
            own = times[target == TARGETS]
            assert int(own.max() - own.min()) <= 1
    assert set(first.tolist()) != set(second.tolist())
    # Shuffled: no class waits for the end.
    assert len(set(TARGETS[first[:28]].tolist())) == 3


def test_repeats_come_in_a_row_of_a_balanced_epoch_too() -> None:
    draws = class_draws("full", TARGETS)
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat(epoch_batches(84, 12, 3, generator, draws, TARGETS))
    assert len(rows) == 84
    assert torch.equal(rows[::3], rows[1::3])
    assert 4 < int((TARGETS[rows] == 3).sum()) < 60


def test_without_balance_nothing_is_drawn_or_weighted() -> None:
    assert class_draws("none", TARGETS) is None
    assert image_weights("none", TARGETS) is None


def test_images_weigh_what_makes_up_the_share_of_their_class() -> None:
    weights = image_weights("sqrt", TARGETS)
    assert weights is not None
    sums = torch.zeros(4).double().index_add(0, TARGETS, weights)
    assert sums.tolist() == pytest.approx([8, 4, 0, 2])
