"""Several runs at once on PostgreSQL, through MLflow's server and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.artifacts import download_artifacts
from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SEEDS = (1, 2)
MODEL = "digits"
TASKS = ["task_00", "task_01", "task_02"]


@pytest.fixture(autouse=True)
def _no_progress_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


class Runs:
    """``kedro run`` for each seed, all at once, each in a project of its own."""

    def __init__(self, folder: Path, make_project: Any, uri: str, *words: str) -> None:
        self.projects = {
            seed: make_project(folder / f"project{seed}") for seed in SEEDS
        }
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "OMP_NUM_THREADS": "1"}
        self._processes = {
            seed: subprocess.Popen(
                [
                    *(Path(sys.executable).with_name("kedro"), "run", "--env", "test"),
                    *("--params", f"seed={seed},mlflow.register_model_as={MODEL}"),
                    *words,
                ],
                cwd=project.path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            for seed, project in self.projects.items()
        }

    def wait(self) -> None:
        for process in self._processes.values():
            said, _ = process.communicate()
            assert process.returncode == 0, said
            assert "not logged" not in said, said
            assert "does not answer" not in said, said


def check(runs: Runs, uri: str, folder: Path) -> None:
    """Each run has its own log, and all of it."""
    client = MlflowClient(uri, registry_uri=uri)
    (experiment,) = client.search_experiments(filter_string="name = 'daformer'")
    logged = client.search_runs([experiment.experiment_id])
    parents = {
        int(run.data.params["seed"]): run
        for run in logged
        if "mlflow.parentRunId" not in run.data.tags
    }
    assert sorted(parents) == list(SEEDS)
    assert {run.info.status for run in logged} == {"FINISHED"}
    versions = client.search_model_versions(f"name = '{MODEL}'")
    assert sorted(int(version.version) for version in versions) == [1, 2]
    models = {version.run_id: version for version in versions}
    for seed, parent in parents.items():
        project, run_id = runs.projects[seed], parent.info.run_id
        tasks = [
            run for run in logged if run.data.tags.get("mlflow.parentRunId") == run_id
        ]
        assert sorted(run.info.run_name for run in tasks) == TASKS
        for run in tasks:
            epochs = client.get_metric_history(run.info.run_id, "train/loss_total")
            assert [epoch.step for epoch in epochs] == [0, 1]
        result = project.folder("08_reporting")
        metrics = json.loads((result / "metrics.json").read_text(encoding="utf-8"))
        name = "average_incremental_accuracy"
        assert parent.data.metrics[name] == metrics[name]
        page = download_artifacts(
            run_id=run_id,
            artifact_path="report.html",
            dst_path=str(folder / str(seed)),
            tracking_uri=uri,
        )
        assert Path(page).read_bytes() == (result / "report.html").read_bytes()
        source = client.get_model_version_download_uri(MODEL, models[run_id].version)
        model = Path(download_artifacts(source, tracking_uri=uri))
        weights = {path.read_bytes() for path in model.rglob("*.safetensors")}
        (made,) = (project.path / "data").glob(
            "06_models/*/task_02/checkpoint.safetensors"
        )
        assert made.read_bytes() in weights


def test_runs_at_once_through_a_server(
    postgres: Any, postgres_server: Any, project: Any, tmp_path: Path
) -> None:
    runs = Runs(tmp_path, type(project), postgres_server.uri)
    runs.wait()
    check(runs, postgres_server.uri, tmp_path)
    assert postgres.query("select count(*) from runs") == [(8,)]


def test_runs_at_once_make_the_database_themselves(
    postgres: Any, project: Any, tmp_path: Path
) -> None:
    words = ("--pipelines", "ingestion")
    Runs(tmp_path, type(project), postgres.uri, *words).wait()
    states = postgres.query("select name, status from runs order by name")
    assert states == [
        (f"test_S_order-identity_seed{seed}", "FINISHED") for seed in SEEDS
    ]
    names = postgres.query("select name from experiments order by experiment_id")
    assert names == [("Default",), ("daformer",)]
    assert not list(tmp_path.rglob("mlflow.db*"))
