"""The parent run in MLflow, from the first start on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from daformer_kedro.usage import UsageError

START = """
import sys
import time
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from mlflow.store.db import utils
from pathlib import Path
import daformer_kedro.pipeline_registry, mlflow.store.tracking.sqlalchemy_store
make = utils._initialize_tables
def slowly(engine):
    print("made tables", flush=True)
    time.sleep(3)
    make(engine)
utils._initialize_tables = slowly
bootstrap_project(Path.cwd())
params = {"seed": int(sys.argv[1])}
create = settings.SESSION_CLASS.create
with create(Path.cwd(), env="test", runtime_params=params) as session:
    print("ready", flush=True)
    sys.stdin.readline()
    session.run(pipeline_names=["ingestion"])
"""
"""A start, as on a busy machine: MLflow takes long to make its tables."""


def test_processes_that_start_first_at_once_are_all_logged(project: Any) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", START, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (0, 1)
    ]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" in iter(process.stdout.readline, "")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in processes]
    assert "".join(said).count("made tables") == 1
    assert [process.returncode for process in processes] == [0, 0]
    with sqlite3.connect(project.path / "mlflow.db") as database:
        runs = database.execute("select name, status from runs").fetchall()
    assert sorted((name[-5:], status) for name, status in runs) == [
        ("seed0", "FINISHED"),
        ("seed1", "FINISHED"),
    ]
    assert not list(project.path.glob("*.lock"))


def test_a_mistake_in_mlflow_yml_is_named_before_anything_is_written(
    project: Any,
) -> None:
    path = project.path / "conf" / "local" / "mlflow.yml"
    path.write_text("tracking: {experimnt: {name: mine}}\n", encoding="utf-8")
    expected = r"mlflow\.yml:\ntracking\.experimnt = \{'name': 'mine'\}: Extra inputs"
    with pytest.raises(UsageError, match=expected):
        project.run("ingestion", given_database=False)
    assert not project.files()
    assert not (project.path / "mlflow.db").exists()
