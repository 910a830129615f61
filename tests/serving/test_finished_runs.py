"""Which run is the newest finished one."""

from __future__ import annotations

import json
import os
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
    assert found.known is None
    assert read_run(tmp_path, "old").name == "old"


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
