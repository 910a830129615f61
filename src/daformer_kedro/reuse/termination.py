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
def interrupt_stops(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at Ctrl+C, before the threads that wait for runs are waited for."""
    try:
        yield
    except KeyboardInterrupt:
        stop()
        raise
