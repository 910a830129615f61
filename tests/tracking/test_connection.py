"""Runs against a real tracking server that comes and goes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.tracking import retry_queue

pytestmark = pytest.mark.slow


class At:
    """Does something at the first epoch of some tasks."""

    def __init__(self, **actions: Any) -> None:
        self._actions = actions

    def on_epoch(self, record: EpochRecord) -> None:
        action = self._actions.pop(f"task_{record.task:02d}", None)
        if action:
            action()


def epochs(database: Path) -> int:
    with sqlite3.connect(database) as rows:
        return rows.execute(
            "select count(*) from metrics where key = 'train/loss_total'"
        ).fetchone()[0]


def test_a_server_by_address_keeps_runs_and_artifacts(
    project: Any, mlflow_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    project.run()
    assert epochs(mlflow_server.database) == 6
    names = {path.name for path in mlflow_server.artifacts.rglob("*.*")}
    assert {"report.html", "exemplar_sheet.png", "checkpoint.safetensors"} <= names
    assert not (project.path / "mlflow.db").exists()
    assert not (project.path / "mlartifacts").exists()


def test_a_server_in_conf_local_serves_every_environment(
    project: Any, mlflow_server: Any
) -> None:
    settings = f"server: {{mlflow_tracking_uri: '{mlflow_server.uri}'}}\n"
    (project.path / "conf" / "local" / "mlflow.yml").write_text(settings)
    project.run("ingestion", env="test")
    with sqlite3.connect(mlflow_server.database) as rows:
        (place,) = rows.execute(
            "select artifact_location from experiments where name = 'daformer'"
        ).fetchone()
    assert place.startswith("mlflow-artifacts:")
    assert not (project.path / "mlflow.db").exists()


def test_a_server_that_goes_away_does_not_stop_training(
    project: Any,
    mlflow_server: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with observed_by(At(task_01=mlflow_server.stop)):
        project.run()
    metrics = json.loads((project.folder("08_reporting") / "metrics.json").read_text())
    assert len(metrics["accuracy_after_task"]) == 3
    assert epochs(mlflow_server.database) == 2
    assert "entries could not be sent" in caplog.text


def test_what_a_server_missed_is_sent_when_it_is_back(
    project: Any, mlflow_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(retry_queue, "_FIRST_PAUSE", 0.0)
    away = At(task_01=mlflow_server.stop, task_02=mlflow_server.start)
    with observed_by(away):
        project.run()
    assert epochs(mlflow_server.database) == 6
    with sqlite3.connect(mlflow_server.database) as rows:
        statuses = rows.execute("select name, status from runs").fetchall()
    assert len(statuses) == 4
    assert {status for _, status in statuses} == {"FINISHED"}


def test_a_run_without_its_server_is_not_logged_and_goes_on(
    project: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    project.run()
    assert (project.folder("08_reporting") / "report.html").exists()
    assert caplog.text.count("some of this run is not logged") == 1
    assert not (project.path / "mlflow.db").exists()


def test_the_load_of_the_machine_is_logged(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.5")
    project.run()
    with sqlite3.connect(project.path / "mlflow.db") as rows:
        counts = dict(
            rows.execute(
                "select key, count(*) from metrics where key like 'system/%' group by 1"
            ).fetchall()
        )
    assert counts["system/cpu_utilization_percentage"] >= 1
    assert counts["system/system_memory_usage_percentage"] >= 1
