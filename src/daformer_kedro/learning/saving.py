"""Saving the state of a training while the training continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from daformer_kedro.storage.state_file import StateFile

State = dict[str, Any]
_LONGEST_WAIT = 20.0  # seconds
_under_way: set[Future[None]] = set()


@dataclass(frozen=True)
class SaveInterval:
    """Interval between two saved states: some epochs, or some minutes.

    Attributes:
        epochs: between two savings; ``None`` to go by the clock.
        minutes: that have to pass since the last saving, or since the training began;
            the state is saved at the end of the epoch in which they do.
    """

    epochs: int | None = None
    minutes: float = 0.0

    def is_over(self, num_epochs: int, seconds: float) -> bool:
        """Return whether to save after so many epochs in all and seconds since."""
        if self.epochs is not None:
            return num_epochs % self.epochs == 0
        return seconds >= 60 * self.minutes


EVERY_EPOCH = SaveInterval(epochs=1)


class StateWriter:
    """Saves states while the training that makes them continues.

    A state is copied to the host, which takes a fraction of a second, and written by a
    thread. Meanwhile a newer state waits and an even newer one replaces it:
    there are never more than two copies.

    Args:
        file: where to save; ``None`` saves nothing.
        interval: time between two savings.
    """

    def __init__(self, file: StateFile | None, interval: SaveInterval) -> None:
        self._file = file
        self._interval = interval
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="training-state")
        self._last: Future[None] | None = None
        self._saved_at = time.monotonic()

    def epoch_ends(
        self, num_epochs: int, is_last: bool, state: Callable[[], State]
    ) -> None:
        """Save the state if it is time to.

        Args:
            num_epochs: epochs in all so far.
            is_last: whether none follows; its state is always saved, since what comes
                after the training may fail too.
            state: makes the state, of which a copy is saved.
        """
        seconds = time.monotonic() - self._saved_at
        is_due = is_last or self._interval.is_over(num_epochs, seconds)
        if self._file is None or not is_due:
            return
        if self._last is not None:
            self.check()
            self._last.cancel()  # no more than waits behind one being written
        self._last = self._thread.submit(self._file.save, copy_to_host(state()))
        _under_way.add(self._last)
        self._last.add_done_callback(_under_way.discard)
        self._saved_at = time.monotonic()

    def check(self) -> None:
        """Raise what ended the last writing, where it was no error of the disk."""
        if self._last is not None and self._last.done():
            self._last.result()

    def close(self) -> None:
        """Wait until the last state is written."""
        self._thread.shutdown(wait=True)


@contextmanager
def saving_states(
    file: StateFile | None, interval: SaveInterval
) -> Iterator[StateWriter]:
    """Give a writer of states to the block, however it ends, waiting for its last one.

    Args:
        file: where to save; ``None`` saves nothing.
        interval: time between two savings.
    """
    writer = StateWriter(file, interval)
    try:
        yield writer
    finally:
        writer.close()
    writer.check()


def finish_writing() -> None:
    """Wait for states that are being written, before this process is ended at once."""
    wait(tuple(_under_way), timeout=_LONGEST_WAIT)


def copy_to_host(value: Any) -> Any:
    """Return dictionaries and lists of tensors as copies in the host's memory."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copy_to_host(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copy_to_host(item) for item in value)
    return value
