"""Batches of an epoch."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import torch

from daformer_kedro.learning.sampling import epoch_batches


def batches(num: int, size: int, repeats: int = 1, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [rows.tolist() for rows in epoch_batches(num, size, repeats, generator)]


def joined(lists: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(lists))


def test_without_repeats_each_sample_comes_once_and_the_rest_is_dropped() -> None:
    found = batches(103, 10)
    assert [len(rows) for rows in found] == [10] * 10
    assert max(Counter(joined(found)).values()) == 1


def test_a_small_set_is_one_smaller_batch() -> None:
    assert sorted(joined(batches(7, 10))) == list(range(7))
    assert len(batches(7, 10)) == 1


def test_repeats_come_in_a_row_and_the_epoch_keeps_its_length() -> None:
    found = joined(batches(5000, 128, repeats=3))
    # 5000 // 256 * 256 = 4864 positions, 38 batches of 128.
    assert len(found) == 4864
    assert found[0] == found[1] == found[2] != found[3]
    assert len(set(found)) == 1622
    assert all(count <= 3 for count in Counter(found).values())


def test_epochs_differ_and_equal_seeds_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (epoch_batches(50, 10, 1, generator) for _ in range(2))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert batches(50, 10, seed=4) == batches(50, 10, seed=4)


def test_all_epochs_together_cover_the_task() -> None:
    generator = torch.Generator().manual_seed(0)
    seen: set[int] = set()
    for _ in range(30):
        seen |= set(torch.cat(epoch_batches(600, 64, 3, generator)).tolist())
    assert seen == set(range(600))


def test_fewer_than_256_samples_are_repeated_too() -> None:
    found = joined(batches(30, 10, repeats=3))
    assert len(found) == 30
    assert len(set(found)) == 10
