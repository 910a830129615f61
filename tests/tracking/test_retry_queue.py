"""Calls while the server comes and goes."""

from __future__ import annotations

import logging

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from sqlalchemy.exc import OperationalError

from daformer_kedro.tracking.retry_queue import RetryQueue, is_away


class Server:
    """Takes entries while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.received: list[int] = []
        self.asked = 0

    def take(self, entry: int) -> None:
        self.asked += 1
        if not self.up:
            raise requests.ConnectionError("refused")
        self.received.append(entry)


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def queue(clock: list[float]) -> RetryQueue:
    return RetryQueue(clock=lambda: clock[0])


def test_entries_wait_for_the_server_and_keep_their_order(queue, clock) -> None:
    server = Server()
    queue.send(lambda: server.take(0))
    server.up = False
    for entry in (1, 2, 3):
        queue.send(lambda entry=entry: server.take(entry))
    assert server.received == [0]
    assert len(queue) == 3
    assert server.asked == 2  # once it is known to be away, nobody waits for it
    server.up = True
    clock[0] = 60.0
    queue.send(lambda: server.take(4))
    assert server.received == [0, 1, 2, 3, 4]


def test_the_end_of_a_run_sends_what_is_left(queue, caplog) -> None:
    server = Server()
    server.up = False
    queue.send(lambda: server.take(0))
    server.up = True
    caplog.clear()
    queue.close()
    assert server.received == [0]
    assert not caplog.records


def test_what_cannot_be_sent_is_reported(queue, caplog) -> None:
    server = Server()
    server.up = False
    for entry in range(3):
        queue.send(lambda entry=entry: server.take(entry))
    queue.close()
    assert len(queue) == 0
    first, last = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "refused" in first.getMessage()
    assert "3 entries could not be sent" in last.getMessage()


def test_what_the_server_refuses_does_not_hold_up_the_rest(queue, caplog) -> None:
    server = Server()

    def refused() -> None:
        raise MlflowException("no such run", error_code=INVALID_PARAMETER_VALUE)

    for action in (refused, refused, lambda: server.take(1)):
        queue.send(action)
    assert server.received == [1]
    assert len([r for r in caplog.records if "no such run" in r.getMessage()]) == 1


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (requests.Timeout("slow"), True),
        (ConnectionRefusedError(111, "refused"), True),
        (MlflowException("API request failed"), True),
        (OperationalError("select", {}, Exception("locked")), True),
        (MlflowException("bad", error_code=INVALID_PARAMETER_VALUE), False),
        (FileNotFoundError(2, "no such file"), False),
        (KeyError("task_00"), False),
    ],
)
def test_not_now_is_told_from_not_so(error, away) -> None:
    assert is_away(error) == away


def test_failures_are_reported_once_and_tried_again_after_a_pause(
    queue, clock, caplog
) -> None:
    tries: list[float] = []

    def fail() -> None:
        tries.append(clock[0])
        raise MlflowException("database is locked\nwith many details")

    for _ in range(2000):
        assert not queue.attempt(fail)
        clock[0] += 1
    # Pauses of 60, 120, 240, 480, 600 … seconds.
    assert tries == [0, 60, 180, 420, 900, 1500]
    assert caplog.text.count("database is locked") == 1
    assert "with many details" not in caplog.text


def test_a_success_ends_the_pauses(queue, clock) -> None:
    server = Server()
    server.up = False
    queue.attempt(lambda: server.take(0))
    clock[0] = 61.0
    server.up = True
    assert queue.attempt(lambda: server.take(1))
    assert queue.attempt(lambda: server.take(2))
    server.up = False
    queue.attempt(lambda: server.take(3))
    server.up = True
    clock[0] = 61.0 + 59
    assert not queue.attempt(lambda: server.take(4))
    clock[0] = 61.0 + 60  # the first pause again, not twice as long
    assert queue.attempt(lambda: server.take(5))


def test_one_pause_holds_for_everything_but_what_comes_last(queue) -> None:
    server = Server()
    server.up = False
    queue.send(lambda: server.take(0))
    assert not queue.attempt(lambda: server.take(1))
    queue.send(lambda: server.take(2))
    assert server.asked == 1
    assert not queue.attempt(lambda: server.take(3), in_pause=True)
    assert server.asked == 2


def test_what_is_refused_makes_no_pause(queue) -> None:
    def refuse() -> None:
        raise MlflowException("bad", error_code=INVALID_PARAMETER_VALUE)

    assert not queue.attempt(refuse)
    assert queue.attempt(lambda: None)


def test_the_next_run_starts_without_what_an_earlier_one_left(queue, caplog) -> None:
    server = Server()
    server.up = False
    queue.send(lambda: server.take(0))
    queue.reset()
    server.up = True
    assert queue.attempt(lambda: server.take(1))
    queue.close()
    assert server.received == [1]
