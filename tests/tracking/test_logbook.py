"""What cannot be logged costs no time and is said once."""

from __future__ import annotations

import pytest

from daformer_kedro.tracking import logbook
from daformer_kedro.tracking.logbook import Logbook


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(logbook, "time", clock)
    return clock


def test_failures_are_said_once_and_tried_again_after_a_pause(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[float] = []

    def fail() -> None:
        tries.append(clock.now)
        raise RuntimeError("database is locked\nwith many details")

    book = Logbook()
    for _ in range(2000):
        assert not book.attempt(fail)
        clock.now += 1
    # Pauses of 60, 120, 240, 480, 600 … seconds.
    assert [t - 1000 for t in tries] == [0, 60, 180, 420, 900, 1500]
    assert caplog.text.count("database is locked") == 1
    assert "with many details" not in caplog.text


def test_a_success_ends_the_pauses(clock: Clock) -> None:
    def fail() -> None:
        raise RuntimeError

    book = Logbook()
    book.attempt(fail)
    clock.now += 61
    assert book.attempt(lambda: None)
    assert book.attempt(lambda: None)


def test_the_last_words_are_tried_during_a_pause_but_only_once(clock: Clock) -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise RuntimeError

    book = Logbook()
    book.attempt(fail)
    for _ in range(5):
        book.attempt(fail, must_try=True)
    assert len(tries) == 2
