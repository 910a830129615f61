"""Observers hear of the epochs of their own block, and of no other."""

from __future__ import annotations

import contextlib
from contextvars import copy_context

import pytest

from daformer_kedro.learning.progress import (
    EpochRecord,
    announce,
    observed_by,
    subscribe,
    unsubscribe,
)


class Counts:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record.epoch)


def epoch(number: int) -> EpochRecord:
    return EpochRecord(0, "train", number, 5, 0.1, {"total": 1.0}, 0.5, 8, 1.0)


def test_an_observer_hears_of_the_epochs_inside_its_block() -> None:
    outer, inner = Counts(), Counts()
    with observed_by(outer):
        announce(epoch(0))
        with contextlib.suppress(KeyError), observed_by(inner):
            announce(epoch(1))
            raise KeyError
        announce(epoch(2))
    announce(epoch(3))
    assert (outer.epochs, inner.epochs) == ([0, 1, 2], [1])


def test_what_a_run_subscribes_ends_with_its_context_however_it_ends() -> None:
    outer, of_run, ended = Counts(), Counts(), Counts()

    def run() -> None:
        subscribe(of_run)
        subscribe(ended)
        announce(epoch(0))
        unsubscribe(ended)
        unsubscribe(Counts())
        announce(epoch(1))
        raise KeyboardInterrupt

    with observed_by(outer):
        with pytest.raises(KeyboardInterrupt):
            copy_context().run(run)
        announce(epoch(2))
    assert (outer.epochs, of_run.epochs, ended.epochs) == ([0, 1, 2], [0, 1], [0])
