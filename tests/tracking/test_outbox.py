"""The outbox while the server comes and goes."""

from __future__ import annotations

import logging

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from daformer_kedro.tracking.outbox import Outbox, is_away


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
def outbox(clock: list[float]) -> Outbox:
    return Outbox(clock=lambda: clock[0])


def test_entries_wait_for_the_server_and_keep_their_order(outbox, clock) -> None:
    server = Server()
    outbox.send(lambda: server.take(0))
    server.up = False
    for entry in (1, 2, 3):
        outbox.send(lambda entry=entry: server.take(entry))
    assert server.received == [0]
    assert len(outbox) == 3
    assert server.asked == 2  # once it is known to be away, nobody waits for it
    server.up = True
    clock[0] = 60.0
    outbox.send(lambda: server.take(4))
    assert server.received == [0, 1, 2, 3, 4]


def test_the_end_of_a_run_sends_what_is_left(outbox, caplog) -> None:
    server = Server()
    server.up = False
    outbox.send(lambda: server.take(0))
    server.up = True
    caplog.clear()
    outbox.close()
    assert server.received == [0]
    assert not caplog.records


def test_what_cannot_be_sent_is_reported(outbox, caplog) -> None:
    server = Server()
    server.up = False
    for entry in range(3):
        outbox.send(lambda entry=entry: server.take(entry))
    outbox.close()
    assert len(outbox) == 0
    first, last = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "refused" in first.getMessage()
    assert "3 entries" in last.getMessage()


def test_what_the_server_refuses_does_not_hold_up_the_rest(outbox, caplog) -> None:
    server = Server()

    def refused() -> None:
        raise MlflowException("no such run", error_code=INVALID_PARAMETER_VALUE)

    for action in (refused, refused, lambda: server.take(1)):
        outbox.send(action)
    assert server.received == [1]
    assert len([r for r in caplog.records if "no such run" in r.getMessage()]) == 1


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (requests.Timeout("slow"), True),
        (ConnectionRefusedError(111, "refused"), True),
        (MlflowException("API request failed"), True),
        (MlflowException("bad", error_code=INVALID_PARAMETER_VALUE), False),
        (FileNotFoundError(2, "no such file"), False),
        (KeyError("task_00"), False),
    ],
)
def test_not_now_is_told_from_not_so(error, away) -> None:
    assert is_away(error) == away
