"""A run of MLflow's that is named is continued with its own settings alone."""

from __future__ import annotations

import sqlite3
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from daformer_kedro.pipelines.naming import MONITOR
from daformer_kedro.usage import UsageError


def table(project: Any, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(project.path / "mlflow.db") as rows:
        return rows.execute(query).fetchall()


def everything(project: Any) -> list[Any]:
    return [
        table(project, f"select * from {name} order by 1, 2, 3")
        for name in ("runs", "tags", "params", "metrics")
    ]


def test_only_a_run_of_the_same_settings_is_continued(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("ingestion")
    ((run, key),) = table(
        project, "select run_uuid, value from tags where key = 'run_key'"
    )
    before, files = everything(project), project.files()

    def refused(*pipelines: str, match: str, **options: Any) -> None:
        with pytest.raises(UsageError, match=match):
            project.run(*pipelines, **options)
        assert mlflow.active_run() is None
        assert everything(project) == before
        assert project.files() == files

    other = {"params": {"seed": 1}}
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    refused(
        "ingestion",
        match=rf"^MLFLOW_RUN_ID = '{run}': that run in MLflow is of {key}, and this "
        r"one is of \S+seed1\S*\. .*: unset MLFLOW_RUN_ID$",
        **other,
    )
    refused(MONITOR, match="and this one is of the pipeline monitor")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    refused("ingestion", match="MLflow at .* has no run of that id")
    monkeypatch.setenv("MLFLOW_RUN_ID", "../x")
    refused("ingestion", match=r"'\.\./x': MLflow at .* has no run of that id")
    monkeypatch.delenv("MLFLOW_RUN_ID")
    file = project.path / "conf" / "local" / "mlflow.yml"
    file.write_text(f"tracking: {{run: {{id: {run}}}}}\n", encoding="utf-8")
    refused("ingestion", match=rf"^mlflow\.yml: tracking\.run\.id = '{run}'", **other)
    file.unlink()

    # The same settings, and a run that was made beforehand, are continued.
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    project.run("ingestion")
    assert len(table(project, "select * from runs")) == 1
    ((experiment,),) = table(project, "select experiment_id from runs")
    made = MlflowClient().create_run(str(experiment))
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    project.run("ingestion", **other)
    tags = MlflowClient().get_run(made.info.run_id).data.tags
    assert "seed1" in tags["run_key"]


def test_an_active_run_is_not_shared_by_two_settings(project: Any) -> None:
    project.context()  # sets the place of the run log
    with mlflow.start_run() as run:
        project.run("ingestion")
        with pytest.raises(UsageError, match=r"^MLflow's active run = .*seed1"):
            project.run("ingestion", params={"seed": 1})
    assert "seed0" in MlflowClient().get_run(run.info.run_id).data.tags["run_key"]
