"""Which run is the newest finished one."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.model.checkpoint_file import write_checkpoint
from daformer_kedro.serving import ServedModel
from daformer_kedro.serving.finished_runs import (
    finished_runs,
    read_newest_run,
    read_run,
)
from daformer_kedro.storage.record import Provenance, Record, write_record


def store(data: Path, key: str, model: ServedModel, learnt: int, tested: int) -> None:
    """A run of two tasks with the times at which it was learnt and tested."""
    folder = data / "06_models" / key / "task_01"
    results = data / "08_reporting" / key / "metrics.json"
    folder.mkdir(parents=True)
    results.parent.mkdir(parents=True)
    write_checkpoint(model.checkpoint, folder / "checkpoint.safetensors")
    results.write_text(json.dumps({"accuracy_after_task": [0.5, 0.4]}))
    os.utime(folder / "checkpoint.safetensors", (learnt, learnt))
    os.utime(results, (tested, tested))


def test_the_newest_comes_first_and_unfinished_ones_do_not_count(
    tmp_path: Path, model: ServedModel
) -> None:
    store(tmp_path, "old", model, learnt=1, tested=2)
    store(tmp_path, "new", model, learnt=1, tested=5)
    store(tmp_path, "going_on", model, learnt=9, tested=8)
    store(tmp_path, "broken", model, learnt=1, tested=7)
    (tmp_path / "08_reporting" / "broken" / "metrics.json").write_text("{")
    (tmp_path / "08_reporting" / "comparison").mkdir()
    assert finished_runs(tmp_path) == ["new", "old"]
    found = read_newest_run(tmp_path)
    assert (found.name, found.origin) == ("new", "newest finished run")
    assert not found.is_calibrated
    assert found.bank is None
    old = read_run(tmp_path, "old")
    assert old.name == "old"
    assert old.made == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(("evaluated", "is_finished"), [("ab", True), ("cd", False)])
def test_a_checkpoint_that_was_made_again_alike_stays_finished(
    tmp_path: Path, model: ServedModel, evaluated: str, is_finished: bool
) -> None:
    """Its evaluation is not repeated then, and stays the older one."""
    store(tmp_path, "run", model, learnt=9, tested=8)
    checkpoint = tmp_path / "06_models" / "run" / "task_01" / "checkpoint.safetensors"
    metrics = tmp_path / "08_reporting" / "run" / "task_01" / "metrics.json"
    metrics.parent.mkdir()
    inputs = {"inputs": {"checkpoint": {"content": evaluated}}}
    write_record(checkpoint, Record("ab", 1))
    write_record(metrics, Record("ef", 1, Provenance("n", "d", 0, "k", inputs)))
    assert finished_runs(tmp_path) == (["run"] if is_finished else [])


@pytest.mark.parametrize("key", ["going_on", "../old", "", "absent"])
def test_other_keys_are_refused_with_those_there_are(
    tmp_path: Path, model: ServedModel, key: str
) -> None:
    store(tmp_path, "old", model, learnt=1, tested=2)
    store(tmp_path, "going_on", model, learnt=9, tested=8)
    with pytest.raises(InputError, match="Finished runs: old"):
        read_run(tmp_path, key)


def test_a_damaged_file_is_named(tmp_path: Path, model: ServedModel) -> None:
    store(tmp_path, "old", model, learnt=1, tested=2)
    folder = tmp_path / "06_models" / "old" / "task_01"
    (folder / "calibration.json").write_text("{")
    with pytest.raises(InputError, match=r"calibration\.json is damaged"):
        read_run(tmp_path, "old")
    (folder / "calibration.json").unlink()
    (folder / "known_images.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match=r"known_images\.safetensors is damaged"):
        read_run(tmp_path, "old")
