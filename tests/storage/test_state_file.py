"""The state of an unfinished training."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import pytest
import torch

from daformer_kedro.storage import state_file
from daformer_kedro.storage.state_file import StateFile

STATE = {"model": {"w": torch.arange(5.0)}, "history": [{"epoch": 0, "loss": 0.5}]}


def test_a_state_comes_back_for_its_own_key_only(tmp_path: Path) -> None:
    path = tmp_path / "task_00" / "training.state"
    StateFile(path, "key").save(STATE)
    found = StateFile(path, "key").load()
    assert found is not None
    assert torch.equal(found["model"]["w"], STATE["model"]["w"])  # type: ignore[call-overload, index]
    assert found["history"] == STATE["history"]
    assert StateFile(path, "other").load() is None
    assert StateFile(path, "key", may_resume=False).load() is None
    StateFile(path, "key").remove()
    assert StateFile(path, "key").load() is None


def test_a_damaged_state_is_named_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "training.state"
    StateFile(path, "key").save(STATE)
    whole = path.read_bytes()
    for content in (
        whole[:-1],
        whole[:50],
        whole[:300] + b"?" + whole[301:],
        b"",
        b"\n",
    ):
        caplog.clear()
        path.write_bytes(content)
        with caplog.at_level(logging.WARNING):
            assert StateFile(path, "key").load() is None
        assert "training.state is damaged" in caplog.text


def test_a_full_disk_ends_no_training_and_keeps_the_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "training.state"
    file = StateFile(path, "key")
    file.save({"epoch": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state_file, "replace_atomically", full)
    file.save({"epoch": 2})
    file.save({"epoch": 3})
    assert file.load() == {"epoch": 1}
    assert caplog.text.count("No space left") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["training.state"]
