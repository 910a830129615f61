"""Signals that end a process which has started runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def termination_stops(stop: Callable[[], None]) -> Iterator[None]:
    """Treat a termination signal like Ctrl+C at a terminal, which reaches all runs.

    Args:
        stop: asks the runs that are under way to end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        stop()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupt_stops(stop: Callable[[], None], engine: str) -> Iterator[None]:
    """Have Ctrl+C end the runs of an engine whose processes it does not reach.

    Args:
        stop: asks the runs that are under way to end.
        engine: ``local`` runs have had Ctrl+C themselves; ``ray``.
    """
    try:
        yield
    except KeyboardInterrupt:
        if engine == "ray":
            stop()
        raise
