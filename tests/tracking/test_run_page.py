"""Where a run is shown, and that its experiment opens on training runs."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from daformer_kedro.tracking.connection import mark_as_training
from daformer_kedro.tracking.run_page import RunPageHooks, runs_page
from daformer_kedro.usage import UsageError

LOCAL = "sqlite:////data/mlflow.db"


@pytest.mark.parametrize(
    ("server", "host", "expected"),
    [
        (LOCAL, "127.0.0.1", "http://127.0.0.1:5000/#/experiments/1/runs/ab?MENU"),
        (LOCAL, "gpu.example", "http://gpu.example:5000/#/experiments/1/runs/ab?MENU"),
        (LOCAL, "0.0.0.0", "http://127.0.0.1:5000/#/experiments/1/runs/ab?MENU"),
        (LOCAL, "::", "http://[::1]:5000/#/experiments/1/runs/ab?MENU"),
        (
            "http://m.example:80",
            "x",
            "http://m.example:80/#/experiments/1/runs/ab?MENU",
        ),
        (
            "https://m.example/log/",
            "x",
            "https://m.example/log/#/experiments/1/runs/ab?MENU",
        ),
        (
            "https://me:secret@m.example",
            "x",
            "https://m.example/#/experiments/1/runs/ab?MENU",
        ),
        ("databricks", "x", None),
        ("databricks://profile", "x", None),
    ],
)
def test_the_address_of_a_run(server: str, host: str, expected: str | None) -> None:
    menu = "workflowType=machine_learning"
    expected = expected and expected.replace("MENU", menu)
    assert runs_page(server, host, "5000", "1", "ab") == expected


def test_a_run_ends_with_its_address(
    project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.path / "conf" / "local" / "mlflow.yml").write_text(
        "ui: {port: '5055', host: localhost}\n", encoding="utf-8"
    )
    project.run("ingestion")
    with sqlite3.connect(project.path / "mlflow.db") as rows:
        ((run, experiment),) = rows.execute("select run_uuid, experiment_id from runs")
    last = capsys.readouterr().out.splitlines()[-1]
    page = f"http://localhost:5055/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"
    assert last == f"This run: {page}  (with kedro mlflow ui)"
    # Nothing is opened where all is there, and no address printed.
    project.run("ingestion", only_missing_outputs=True)
    assert "This run" not in capsys.readouterr().out


def test_pages_that_are_seen_elsewhere_than_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mlflow = SimpleNamespace(
        server=SimpleNamespace(mlflow_tracking_uri="http://mlflow:5000"),
        ui=SimpleNamespace(host="127.0.0.1", port="5000"),
    )
    context: Any = SimpleNamespace(state=None, mlflow=mlflow)
    client: Any = SimpleNamespace(runs={None: "ab"}, experiment="1")
    console = Console(record=True, width=200)
    hooks = RunPageHooks(console, client)
    hooks.state = SimpleNamespace(is_in_project=True)  # type: ignore[assignment]
    for given, expected in (
        ("", "http://mlflow:5000"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
    ):
        monkeypatch.setenv("DAFORMER_MLFLOW_PAGES", given)
        context.state = hooks.state
        hooks.after_context_created(context)
        hooks.after_pipeline_run()
        said = console.export_text().strip()
        assert said.startswith(f"This run: {expected}/#/experiments/1/runs/ab?")
    monkeypatch.setenv("DAFORMER_MLFLOW_PAGES", "127.0.0.1:5000")
    with pytest.raises(UsageError, match=r"DAFORMER_MLFLOW_PAGES = '127.*http://"):
        hooks.after_context_created(context)


def test_an_experiment_that_exists_is_marked_unless_its_user_has(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, ours = "mlflow.experimentKind", "custom_model_development"
    project.context()  # makes the experiment
    place = f"sqlite:///{project.path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    client = MlflowClient(place)
    (found,) = [e for e in client.search_experiments() if e.name == "daformer"]
    assert found.tags[kind] == ours
    number = found.experiment_id
    client.delete_experiment_tag(number, kind)
    mark_as_training(client.get_experiment(number))
    assert client.get_experiment(number).tags[kind] == ours
    # What MLflow's pages write when they guess, and what a user chooses there.
    for before, after in (
        ("genai_development_inferred", ours),
        ("no_inferred_type", ours),
        ("genai_development", "genai_development"),
    ):
        client.set_experiment_tag(number, kind, before)
        mark_as_training(client.get_experiment(number))
        assert client.get_experiment(number).tags[kind] == after
