"""Signals that end a run, or a process which has started some."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def termination_interrupts(stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Treat a termination signal, as schedulers send it, like Ctrl+C at a terminal.

    Args:
        stop: asks runs in other processes to end, which Ctrl+C reaches by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        if stop is not None:
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
