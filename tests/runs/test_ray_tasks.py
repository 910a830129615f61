"""Runs as tasks of Ray: a worker that dies costs what was not saved, and no more."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

import psutil
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.runs import ray_tasks
from daformer_kedro.runs.ray_tasks import check_ray


def test_a_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_tasks, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^--ray needs Ray.*daformer_kedro\[ray\]"):
        check_ray("--ray")


def kill_worker_and_its_run(leader: int) -> None:
    """Kill Ray's worker that makes the run, and the run, as a machine's end would."""
    for process in psutil.Process(leader).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::test_"):
                for member in [*process.children(recursive=True), process]:
                    member.kill()


@pytest.mark.slow
def test_a_dead_worker_s_run_is_begun_again_from_its_saved_state(
    project: Any, started: Any
) -> None:
    pytest.importorskip("ray")
    project.context()  # for the database, which takes seconds to make
    words = [sys.executable, "-m", "daformer_kedro", "sweep", "--protocol", "test"]
    words += ["--ray", "--params", "training.epochs=1,finetuning.epochs=1"]
    reporting = project.path / "data" / "08_reporting"
    with started(words, cwd=project.path) as sweep:
        end = time.monotonic() + 300
        while not list(reporting.glob("*/task_00/metrics.json")):
            assert time.monotonic() < end, sweep.log.read_text()
            time.sleep(0.1)
        (log,) = (project.path / "data" / "journal").glob("*.log")
        kill_worker_and_its_run(sweep.process.pid)
        while "Resuming the run that was begun" not in log.read_text():
            assert time.monotonic() < end, sweep.log.read_text()
            time.sleep(0.1)
        assert sweep.process.wait(400) == 0, sweep.log.read_text()
        said = sweep.log.read_text()
    assert "| DAFormer-S |" in said
    assert not log.exists()
