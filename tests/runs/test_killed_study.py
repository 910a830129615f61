"""A study of real runs that is killed and goes on."""

from __future__ import annotations

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
    training.learning_rate: [0.001, 0.01]
"""


@pytest.mark.slow
def test_a_killed_study_goes_on_with_its_unfinished_trial(
    project: Any, started: Any
) -> None:
    project.context()  # for the database, which takes seconds to make
    (project.path / "conf" / "test" / "parameters_study.yml").write_text(SPACE)
    kedro = Path(sys.executable).with_name("kedro")
    words = [kedro, "run", "--env", "test", "--pipelines", "study", "--params"]
    words += ["study.trials=2,training.epochs=1,finetuning.epochs=1"]
    reporting = project.path / "data" / "08_reporting"
    with started(words, cwd=project.path) as study:  # killed, with its trial
        end = time.monotonic() + 300
        while not list(reporting.glob("*/task_00/metrics.json")):
            assert time.monotonic() < end, study.log.read_text()
            time.sleep(0.1)
    with started(words, cwd=project.path) as study:
        assert study.process.wait(400) == 0, study.log.read_text()
        said = study.log.read_text()
    assert "kedro run --env tuned" in said
    folder = project.path / "data" / "studies" / "tuned"
    trials = pd.read_csv(folder / "trials.csv")
    assert trials["state"].tolist() == ["complete"] * 2
    log = (folder / "trial_0000.log").read_text()
    assert "Resuming the run that was begun" in log

    client = MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    runs = client.search_runs(["1"])
    (parent,) = [run for run in runs if "study" in run.data.tags]
    assert parent.data.metrics["num_trials"] == 2
    nested = [
        run.data.tags["trial"]
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        and run.info.status == "FINISHED"
    ]
    assert sorted(nested) == ["0", "1"]
