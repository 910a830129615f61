"""After a crash or Ctrl+C the same command resumes, to the same bytes."""

from __future__ import annotations

import errno
import io
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient

from daformer_kedro.datasets import stored
from daformer_kedro.errors import InputError
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.reuse.runner import RunInterrupted
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.processes import identity
from daformer_kedro.tracking import final_model, run_metadata

COMPARED = (".safetensors", ".json", ".parquet", ".npy")


class At:
    """Does something at the end of one epoch of one task's training."""

    def __init__(self, task: int, phase: str, action: Any) -> None:
        self.moment = (task, phase)
        self.action = action
        self.epochs: list[tuple[int, str]] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.epochs.append((record.task, record.phase))
        if (record.task, record.phase) == self.moment:
            self.action()


def interrupt() -> None:
    raise KeyboardInterrupt


def crash() -> None:
    raise MemoryError("stands for any crash")


def assert_same_bytes(copy: Any, finished: Any) -> None:
    for path in finished.files():
        if path.suffix in COMPARED and path.name != "costs.json":  # holds durations
            wanted = (finished.path / "data" / path).read_bytes()
            assert (copy.path / "data" / path).read_bytes() == wanted, path


@pytest.fixture
def fresh(copy: Any) -> Any:
    """The same project, with no results."""
    shutil.rmtree(copy.path / "data")
    return copy


@pytest.mark.parametrize("phase", ["train", "finetune"])
def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(
    fresh: Any, finished: Any, phase: str
) -> None:
    with (
        pytest.raises(
            RunInterrupted, match=r"(?s)Stopped in task_01\..*resume"
        ) as error,
        observed_by(At(1, phase, interrupt)),
    ):
        fresh.plain()
    assert error.value.exit_code == 130
    states = dict(fresh.runs()[4:])
    assert states.pop("task_00") == "KILLED"
    assert set(states.values()) == {"KILLED"}
    # One epoch is enough to be kept: the state of the last one is always saved.
    assert len(list((fresh.path / "data").rglob("*.attempt"))) == 1
    seen = At(9, "", None)
    with observed_by(seen):
        ran = fresh.plain()
    assert "task_00.train_task" not in ran
    assert "task_01.assemble_task_data" not in ran
    assert (0, "train") not in seen.epochs
    assert_same_bytes(fresh, finished)
    assert not list((fresh.path / "data").rglob("*.attempt"))
    assert not list((fresh.path / "data").rglob("*.state"))
    # It has come to its end: the same command starts from scratch.
    assert fresh.plain() == set()
    assert fresh.said == {}


def test_a_crash_is_gone_on_from_unless_asked_otherwise(
    fresh: Any, finished: Any
) -> None:
    with pytest.raises(MemoryError), observed_by(At(2, "train", crash)):
        fresh.plain()
    seen = At(9, "", None)
    with observed_by(seen):
        fresh.plain(params={"cache": {"resume": False}})
    assert (0, "train") in seen.epochs
    assert_same_bytes(fresh, finished)


def test_a_crash_is_gone_on_from_on_a_disk_of_this_machine(
    fresh: Any, finished: Any, tmp_path: Path
) -> None:
    steps = ["ingestion", "task_00"]
    # Like every setting of the cache it is none of the run key.
    params = {"cache": {"scratch": "../disk"}, "training": {"save_every": 1}}
    with pytest.raises(MemoryError), observed_by(At(0, "train", crash)):
        fresh.plain(*steps, params=params)
    (project,) = (tmp_path / "disk").iterdir()
    assert project.name.startswith("copy-")
    (state,) = project.rglob("*.state")
    assert state.name == "training.state"
    assert not list((fresh.path / "data").rglob("*.state"))
    assert len(list(project.glob("copies/*/images/train_images.npy"))) == 1
    _, _, body = state.read_bytes().partition(b"\n")
    (epoch,) = torch.load(io.BytesIO(body), weights_only=True)["history"]
    assert "read_images" not in fresh.plain(*steps, params=params)
    assert not list(project.rglob("*.state"))
    history = pd.read_csv(fresh.file("task_00/training_history.csv"))
    assert history["seconds"][0] == epoch["seconds"]  # not trained again
    checkpoint = "task_00/checkpoint.safetensors"
    (wanted,) = (finished.path / "data").glob(f"*/*/{checkpoint}")
    assert fresh.file(checkpoint).read_bytes() == wanted.read_bytes()


def test_only_missing_outputs_also_goes_on_within_a_training(
    fresh: Any, finished: Any
) -> None:
    params = {"training": {"save_every": 1}}
    with pytest.raises(MemoryError), observed_by(At(0, "train", crash)):
        fresh.again(params=params)
    assert (fresh.file("task_00/training.state")).exists()
    fresh.again(params=params)
    assert_same_bytes(fresh, finished)


def test_the_second_process_stops_at_once(copy: Any) -> None:
    name = copy.file("metrics.json").parent.name
    lock = Lock(copy.path / "data" / "journal" / f"{name}.lock", "x")
    lock.acquire()
    before = copy.runs()
    with pytest.raises(InputError, match=f"The folder {name} is being written by proc"):
        copy.plain()
    lock.release()
    assert copy.runs() == before
    assert copy.again() == set()


def test_an_interrupted_run_hears_nothing_of_the_next(
    copy: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(final_model, "log_model", lambda *_, **__: interrupt())
        with pytest.raises(KeyboardInterrupt):
            copy.project.run()
    mlflow.end_run("KILLED")
    capsys.readouterr()
    copy.project.run(params={"seed": 1})
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("task 0 train:")]) == 1


def test_a_full_disk_is_named_and_gone_on_from(
    fresh: Any, finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stored.replace_atomically

    def full(written: Path, target: Path) -> None:
        if target.name == "trained.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(written, target)

    monkeypatch.setattr(stored, "replace_atomically", full)
    with pytest.raises(InputError, match=r"(?s)trained\.safetensors.*No space left"):
        fresh.plain()
    assert not list((fresh.path / "data").rglob("trained.*"))
    monkeypatch.setattr(stored, "replace_atomically", real)
    ran = fresh.plain()
    assert "task_00.train_task" not in ran
    assert_same_bytes(fresh, finished)


def test_a_training_outlives_its_database(
    fresh: Any, finished: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def delete() -> None:
        for path in fresh.path.glob("mlflow.db*"):
            path.unlink()

    with observed_by(At(1, "train", delete)):
        fresh.plain()
    assert_same_bytes(fresh, finished)
    assert caplog.text.count("some of this run is not logged") <= 1


@pytest.mark.slow
def test_a_training_outlives_a_locked_database(
    fresh: Any, finished: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = sqlite3.connect(fresh.path / "mlflow.db", check_same_thread=False)

    def lock() -> None:
        if not other.in_transaction:
            other.execute("begin exclusive")

    with observed_by(At(0, "train", lock)):
        fresh.plain()
    other.rollback()
    other.close()
    assert_same_bytes(fresh, finished)
    assert caplog.text.count("some of this run is not logged") == 1


def test_a_run_without_database_is_not_logged_and_goes_on(
    fresh: Any,
    finished: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # MLflow itself tries ten times with growing pauses, minutes in all.
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)
    for path in fresh.path.glob("mlflow.db*"):
        path.unlink()
    (fresh.path / "mlflow.db").mkdir()
    fresh.plain()
    assert_same_bytes(fresh, finished)
    assert caplog.text.count("some of this run is not logged") == 1


@pytest.mark.parametrize("is_all_reused", [False, True])
def test_runs_of_killed_processes_are_closed_and_others_are_not(
    copy: Any, is_all_reused: bool
) -> None:
    code = "from daformer_kedro.storage.processes import identity; print(identity())"
    dead = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    client = MlflowClient(f"sqlite:///{copy.path}/mlflow.db")
    experiment = client.get_experiment_by_name("daformer")
    assert experiment is not None
    project = {run_metadata.PROJECT_TAG: copy.path.as_posix()}
    made = {
        name: client.create_run(
            experiment.experiment_id, tags=tags, run_name=name
        ).info.run_id
        for name, tags in {
            "killed": {**project, run_metadata.PROCESS_TAG: dead},
            "alive": {**project, run_metadata.PROCESS_TAG: identity()},
            "elsewhere": {**project, run_metadata.PROCESS_TAG: "other-host:1:2"},
            "other project": {run_metadata.PROCESS_TAG: dead},
        }.items()
    }
    if not is_all_reused:
        copy.file("results.csv").unlink()
    assert bool(copy.again()) != is_all_reused
    states = {name: client.get_run(run).info.status for name, run in made.items()}
    assert states.pop("killed") == "KILLED"
    assert set(states.values()) == {"RUNNING"}


@pytest.mark.parametrize("command", ["plain", "again"])
def test_a_run_that_ended_between_its_results_and_its_log_is_logged_when_gone_on_with(
    fresh: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
) -> None:
    run = getattr(fresh, command)
    with monkeypatch.context() as patch:
        patch.setattr(final_model, "log_model", lambda *_, **__: interrupt())
        with pytest.raises(KeyboardInterrupt):
            run()
    mlflow.end_run("KILLED")  # the process would have ended
    assert run() == set()
    assert caplog.text.count("Resuming the run that was begun") == 1
    client = MlflowClient(f"sqlite:///{fresh.path}/mlflow.db")
    experiment = client.get_experiment_by_name("daformer")
    assert experiment is not None
    latest = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert latest.info.status == "FINISHED"
    assert latest.data.metrics["average_incremental_accuracy"] > 0
    assert "reused.summarise" in latest.data.tags
