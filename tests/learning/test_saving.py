"""States are saved while the training continues."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from daformer_kedro.learning import saving
from daformer_kedro.learning.saving import (
    EVERY_EPOCH,
    SaveInterval,
    copy_to_host,
    finish_writing,
    saving_states,
)
from daformer_kedro.storage.state_file import StateFile


class SlowFile(StateFile):
    """Writes only when it is let; remembers the states that it began to write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "key")
        self.may_write, self.has_begun = threading.Event(), threading.Event()
        self.begun: list[Any] = []

    def save(self, state: dict[str, Any]) -> None:
        self.begun.append(state["epoch"])
        self.has_begun.set()
        assert self.may_write.wait(10)
        super().save(state)


def offer(writer: saving.StateWriter, epoch: int, is_last: bool = False) -> None:
    writer.epoch_ends(epoch, is_last, lambda: {"epoch": epoch})


@pytest.mark.parametrize(
    ("interval", "saved"),
    [
        # The clock stands at 0, and at 90 s a minute after each epoch from then on.
        (SaveInterval(minutes=2.0), [2, 4, 5]),  # 120 s, 240 s, the last
        (SaveInterval(minutes=2.01), [3, 5]),
        (SaveInterval(minutes=99.0), [5]),
        (SaveInterval(epochs=3, minutes=0.0), [3, 5]),
        (SaveInterval(), [1, 2, 3, 4, 5]),
    ],
)
def test_states_are_saved_by_the_clock_or_by_epochs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interval: SaveInterval,
    saved: list[int],
) -> None:
    now = [0.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    file = SlowFile(tmp_path / "training.state")
    file.may_write.set()
    with saving_states(file, interval) as writer:
        for epoch in range(1, 6):
            now[0] += 60.0
            offer(writer, epoch, is_last=epoch == 5)
            finish_writing()
    assert file.begun == saved


def test_a_slow_disk_does_not_stop_the_training(tmp_path: Path) -> None:
    file = SlowFile(tmp_path / "training.state")
    with saving_states(file, EVERY_EPOCH) as writer:
        offer(writer, 1)
        assert file.has_begun.wait(10)
        for epoch in (2, 3, 4):  # none of them can be written yet
            offer(writer, epoch)
        file.may_write.set()
    # The newest is on the disk when the training ends; those between were left out.
    assert file.begun == [1, 4]
    assert file.load() == {"epoch": 4}


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_the_last_state_is_waited_for_however_the_training_ends(
    tmp_path: Path, error: type[BaseException]
) -> None:
    file = SlowFile(tmp_path / "training.state")
    timer = threading.Timer(0.2, file.may_write.set)

    def train() -> None:
        with saving_states(file, EVERY_EPOCH) as writer:
            offer(writer, 7)
            timer.start()
            raise error

    with pytest.raises(error):
        train()
    assert file.load() == {"epoch": 7}


def test_what_is_saved_is_what_was_there_when_the_epoch_ended(tmp_path: Path) -> None:
    weights = torch.arange(6.0).view(2, 3)
    state = {"model": {"w": weights.T}, "lr": [0.5], "history": [{"epoch": 0}]}
    file = SlowFile(tmp_path / "training.state")
    file.save = StateFile.save.__get__(file)  # type: ignore[method-assign]
    with saving_states(file, EVERY_EPOCH) as writer:
        blocker = writer._thread.submit(file.may_write.wait, 10)
        writer.epoch_ends(1, False, lambda: state)
        weights.zero_()
        state["lr"][0] = 9.0  # type: ignore[index]
        state["history"][0]["epoch"] = 9  # type: ignore[index]
        file.may_write.set()
    assert blocker.result()
    saved = file.load()
    assert saved is not None
    assert saved["model"]["w"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert (saved["lr"], saved["history"]) == ([0.5], [{"epoch": 0}])


def test_an_error_of_the_writing_itself_is_not_lost(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "training.state", "key")
    with (
        pytest.raises(AttributeError, match="local object"),
        saving_states(file, EVERY_EPOCH) as writer,
    ):
        writer.epoch_ends(1, True, lambda: {"code": lambda: None})


def test_copies_share_nothing_with_the_training() -> None:
    value = {"a": [torch.ones(2), 1], "b": (torch.zeros(1),), "c": None}
    copied = copy_to_host(value)
    assert copied["a"][0].data_ptr() != value["a"][0].data_ptr()  # type: ignore[index]
    assert copied["a"][1:] == [1]
    assert isinstance(copied["b"], tuple)
    assert copied["c"] is None
