"""Streams of random numbers."""

from __future__ import annotations

import torch

from daformer_kedro.learning.seeding import make_generator


def draw(*key: object) -> float:
    return float(torch.rand((), generator=make_generator(*key)))


def test_streams_differ_by_seed_task_and_purpose_and_repeat() -> None:
    keys = [(0, 0, "train"), (1, 0, "train"), (0, 1, "train"), (0, 0, "weights")]
    assert len({draw(*key) for key in keys}) == 4
    assert draw(3, 2, "train") == draw(3, 2, "train")


def test_the_global_state_is_neither_read_nor_changed() -> None:
    before = torch.get_rng_state()
    draw(0, 0, "train")
    assert torch.equal(torch.get_rng_state(), before)
