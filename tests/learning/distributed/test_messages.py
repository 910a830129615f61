"""What ranks tell arrives once, whole, and in order."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from daformer_kedro.learning.distributed.messages import Receiver, Sender
from daformer_kedro.learning.progress import EpochRecord, observed_by

RECORD = EpochRecord(
    task=1,
    phase="train",
    epoch=0,
    num_epochs=3,
    learning_rate=0.1 + 0.2,
    losses={"total": 1 / 3},
    train_accuracy=0.5,
    num_images=8,
    seconds=0.25,
)


class Listener:
    def __init__(self) -> None:
        self.records: list[EpochRecord] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.records.append(record)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.jsonl"


def relayed(receiver: Receiver) -> list[EpochRecord]:
    listener = Listener()
    with observed_by(listener):
        receiver.relay()
    return listener.records


def test_an_epoch_arrives_as_it_was_and_once(path: Path) -> None:
    receiver = Receiver(path)
    assert relayed(receiver) == []
    Sender(path).on_epoch(RECORD)
    assert relayed(receiver) == [RECORD]
    assert relayed(receiver) == []


def test_epochs_told_again_after_a_restart_are_passed_on_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(path)
    epochs = [replace(RECORD, epoch=epoch) for epoch in range(3)]
    for told in (epochs[:2], epochs):
        sender = Sender(path)
        sender.send("started", {})
        for record in told:
            sender.on_epoch(record)
    assert relayed(receiver) == epochs
    assert caplog.text.count("A rank failed") == 1


def test_half_a_line_is_waited_for(path: Path) -> None:
    Sender(path).on_epoch(RECORD)
    line = path.read_bytes()
    path.write_bytes(line[:20])
    receiver = Receiver(path)
    assert relayed(receiver) == []
    path.write_bytes(line)
    assert relayed(receiver) == [RECORD]


def test_half_a_line_of_a_killed_rank_spoils_nothing(path: Path) -> None:
    path.write_bytes(b'{"kind": "epo')
    Sender(path).on_epoch(RECORD)
    assert relayed(Receiver(path)) == [RECORD]


def test_warnings_and_errors_arrive(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(path)
    logger = logging.Logger("daformer_kedro.storage")
    logger.addHandler(sender)
    logger.info("not worth telling")
    logger.warning("the disk is %s", "full")
    sender.send("error", {"type": "DivergenceError", "text": "not finite"})
    receiver = Receiver(path)
    receiver.relay()
    assert [record.getMessage() for record in caplog.records] == ["the disk is full"]
    assert receiver.error == {"type": "DivergenceError", "text": "not finite"}
