"""A study of real runs that is killed twice and goes on, its files traced."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

SPACE = """
study:
  space:
    training.learning_rate: {log_range: [0.001, 0.1]}
"""
TRACE = """
import os, sys
_log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def _note(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        os.write(_log, os.fsencode(arguments[0] + chr(10)))
sys.addaudithook(_note)
"""
RESULTS = ("07_model_output", "08_reporting")


def traced(folder: Path) -> tuple[dict[str, str], Path]:
    """Return variables with which every Python notes what it opens, and the notes."""
    log = folder / "opened.txt"
    hook = folder / "trace" / "sitecustomize.py"
    hook.parent.mkdir()
    hook.write_text(TRACE.format(log=str(log)))
    path = os.pathsep.join([str(hook.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}, log


@pytest.mark.slow
def test_a_study_killed_twice_goes_on_and_opens_no_test_prediction(
    project: Any, finished: Any, started: Any, tmp_path: Path
) -> None:
    data = project.path / "data"
    for layer in RESULTS:  # of a run on the test images
        shutil.copytree(finished.path / "data" / layer, data / layer)
    project.context()  # for the database, which takes seconds to make
    (project.path / "conf" / "test" / "parameters_study.yml").write_text(SPACE)
    environment, opened = traced(tmp_path)
    options = {"cwd": project.path, "env": environment}
    given = "study.trials=2,training.epochs=1,finetuning.epochs=1"

    def words(name: str) -> list[str]:
        kedro = str(Path(sys.executable).with_name("kedro"))
        study = ["run", "--env", "test", "--pipelines", "study"]
        return [kedro, *study, "--params", f"study.name={name},{given}"]

    first_tasks = "*_validation_*/task_00/metrics.json"
    for number in (1, 2):
        with started(words("tuned"), **options) as study:  # killed, with its trial
            end = time.monotonic() + 300
            while len(list((data / "08_reporting").glob(first_tasks))) < number:
                assert time.monotonic() < end, study.log.read_text()
                time.sleep(0.1)
    for name in ("tuned", "same"):  # the second finds the first one's trials finished
        with started(words(name), **options) as study:
            assert study.process.wait(400) == 0, study.log.read_text()
            assert f"kedro run --env {name}" in study.log.read_text()
    trials = pd.read_csv(data / "studies" / "tuned" / "trials.csv")
    assert trials["state"].tolist() == ["complete"] * 2
    assert trials["run_key"].nunique() == 2
    pd.testing.assert_frame_equal(
        trials, pd.read_csv(data / "studies" / "same" / "trials.csv")
    )
    for number in (0, 1):
        log = (data / "studies" / "tuned" / f"trial_{number:04d}.log").read_text()
        first, resuming, _ = log.partition("Resuming the run that was begun")
        assert resuming
        assert ("read_images: reused" in first) == (number == 1)  # from trial 0

    read = {Path(line) for line in opened.read_text().splitlines()}
    for layer, file in zip(
        RESULTS, ("predictions.parquet", "metrics.json"), strict=True
    ):
        paths = {path for path in read if path.name == file}
        inside = [p for p in paths if p.is_relative_to(data / layer)]
        folders = {p.relative_to(data / layer).parts[0] for p in inside}
        assert folders >= set(trials["run_key"])
        assert [name for name in folders if "_validation_" not in name] == []

    client = MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    runs = client.search_runs(["1"])
    (parent,) = [r for r in runs if r.data.tags.get("study", "").startswith("tuned_")]
    assert parent.data.metrics["num_trials"] == 2
    nested = [
        run.data.tags["trial"]
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        and run.info.status == "FINISHED"
    ]
    assert sorted(nested) == ["0", "1"]
