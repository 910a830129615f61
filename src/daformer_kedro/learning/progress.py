"""Observers of training: the progress bar, the run log, a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

import pandas as pd


@dataclass(frozen=True)
class EpochRecord:
    """Results of one epoch.

    Attributes:
        task: number of the task, from 0.
        phase: ``train`` or ``finetune``.
        epoch: number of the epoch within the phase, from 0.
        num_epochs: epochs of the phase.
        learning_rate: rate of this epoch.
        losses: mean of each loss term, as weighted in the total, and ``total``.
        train_accuracy: share of the batch's samples whose strongest soft target was
            predicted, on augmented images.
        num_images: images seen.
        seconds: duration of the epoch.
        validation_accuracy: share of the validation images that were classified
            rightly after the epoch, where that is measured.
        ended_by: ``patience`` or ``time``, where the phase ended with this epoch and
            not with its last one.
    """

    task: int
    phase: str
    epoch: int
    num_epochs: int
    learning_rate: float
    losses: dict[str, float]
    train_accuracy: float
    num_images: int
    seconds: float
    validation_accuracy: float | None = None
    ended_by: Literal["patience", "time"] | None = None

    @property
    def images_per_second(self) -> float:
        """Throughput of the epoch."""
        return self.num_images / self.seconds

    def as_row(self) -> dict[str, float | int | str]:
        """The record as a row of the history table."""
        limits = {
            "validation_accuracy": self.validation_accuracy,
            "ended_by": self.ended_by,
        }
        return {
            "task": self.task,
            "phase": self.phase,
            "epoch": self.epoch,
            "learning_rate": self.learning_rate,
            "loss": self.losses["total"],
            **{f"loss_{k}": v for k, v in self.losses.items() if k != "total"},
            "train_accuracy": self.train_accuracy,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            **{name: value for name, value in limits.items() if value is not None},
        }


class Observer(Protocol):
    """Observe an epoch."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Called once at the end of each epoch."""


_observers: ContextVar[tuple[Observer, ...]] = ContextVar("observers", default=())
"""Of this thread and block of code: Kedro hands a node its data and nothing else."""


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Report to ``observer`` the epochs that pass inside the block."""
    token = _observers.set((*_observers.get(), observer))
    try:
        yield
    finally:
        _observers.reset(token)


def subscribe(observer: Observer) -> None:
    """Report to ``observer`` every epoch of this context from now on.

    A run has a context of its own, so that its observers hear of no other.
    """
    _observers.set((*_observers.get(), observer))


def unsubscribe(observer: Observer) -> None:
    """Stop telling ``observer``; one that was never subscribed is ignored."""
    _observers.set(tuple(o for o in _observers.get() if o is not observer))


def announce(record: EpochRecord) -> None:
    """Report an epoch to all observers."""
    for observer in _observers.get():
        observer.on_epoch(record)


def history_table(records: list[EpochRecord]) -> pd.DataFrame:
    """Tabulate the records, one row per epoch; empty phases give empty tables."""
    return pd.DataFrame([record.as_row() for record in records])
