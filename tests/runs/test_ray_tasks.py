"""Runs as tasks of Ray: a worker that dies costs what was not saved, and no more."""

from __future__ import annotations

import os
import signal
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


SHORT = "training.epochs=1,finetuning.epochs=1"
STUDY = "study.trials=1,study.engine=ray,study.space.training.weight_decay=[0.1]"


SWEEP = ["-m", "daformer_kedro", "sweep", "--protocol", "test", "--ray"]


@pytest.mark.slow
@pytest.mark.parametrize("is_terminated", [True, False])
def test_a_signal_ends_the_run_which_keeps_what_it_has_done(
    project: Any, started: Any, is_terminated: bool
) -> None:
    pytest.importorskip("ray")
    project.context()
    words = [sys.executable, *SWEEP, "--params", "training.epochs=1000"]
    data = project.path / "data"
    with started(words, cwd=project.path) as sweep:
        end = time.monotonic() + 300
        while not list(data.glob("05_model_input/*/task_00")):
            assert time.monotonic() < end, sweep.log.read_text()
            time.sleep(0.1)
        if is_terminated:
            sweep.process.terminate()
        else:  # as a terminal's Ctrl+C
            os.killpg(sweep.process.pid, signal.SIGINT)
        assert sweep.process.wait(100) == 130, sweep.log.read_text()
        assert "The same command resumes there." in sweep.log.read_text()
    (log,) = data.glob("journal/*.log")
    assert "Stopped in task_00" in log.read_text()
    assert list(data.glob("journal/*.lock")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "log_of_run", "result"),
    [
        (
            SWEEP,
            "journal/*.log",
            "| DAFormer-S |",
        ),
        (
            ["-m", "kedro", "run", "--env", "test", "--pipelines", "study"],
            "studies/tuned/trial_0000.log",
            "Best of 1 trials: 0,",
        ),
    ],
)
def test_a_dead_worker_s_run_is_begun_again_from_its_saved_state(
    project: Any, started: Any, words: list[str], log_of_run: str, result: str
) -> None:
    pytest.importorskip("ray")
    project.context()  # for the database, which takes seconds to make
    given = SHORT if "sweep" in words else f"{SHORT},{STUDY}"
    words = [sys.executable, *words, "--params", given]
    data = project.path / "data"
    reporting = data / "08_reporting"
    with started(words, cwd=project.path) as sweep:
        end = time.monotonic() + 300
        while not list(reporting.glob("*/task_00/metrics.json")):
            assert time.monotonic() < end, sweep.log.read_text()
            time.sleep(0.1)
        (log,) = data.glob(log_of_run)
        kill_worker_and_its_run(sweep.process.pid)
        while "Resuming the run that was begun" not in log.read_text():
            assert time.monotonic() < end, sweep.log.read_text()
            time.sleep(0.1)
        assert sweep.process.wait(400) == 0, sweep.log.read_text()
        said = sweep.log.read_text()
    assert result in said
    assert log.exists() == ("study" in words)
