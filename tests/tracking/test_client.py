"""Calls that reach MLflow for a parent run and its tasks' runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from daformer_kedro.tracking import client as module
from daformer_kedro.tracking.client import TrackingClient


class Server:
    """Notes what it is sent, while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.calls: list[tuple[Any, ...]] = []

    def _take(self, *call: Any) -> None:
        if not self.up:
            raise requests.ConnectionError("refused")
        self.calls.append(call)

    def start_run(self, run: str | None, experiment: str, **_: Any) -> Any:
        self._take("start", run, experiment)
        info = SimpleNamespace(run_id="parent", experiment_id=experiment)
        return SimpleNamespace(info=info)

    def create_run(self, experiment: str, _: Any, tags: Any, name: str) -> Any:
        self._take("create", name, tags["mlflow.parentRunId"])
        return SimpleNamespace(info=SimpleNamespace(run_id=f"id of {name}"))

    def search_runs(self, experiments: Any, filter: str, max_results: int) -> Any:
        self._take("search", filter)
        found = SimpleNamespace(info=SimpleNamespace(run_id="earlier"))
        return [found] if "'task_00'" in filter else []

    def update_run(self, run: str, status: str) -> None:
        self._take("update", run, status)

    def log_batch(
        self, run: str, metrics: Any = (), params: Any = (), tags: Any = ()
    ) -> None:
        entries = [(e.key, e.value) for e in (*metrics, *params, *tags)]
        self._take("log", run, dict(entries))

    def set_terminated(self, run: str, status: str) -> None:
        self._take("end", run, status)

    def end_run(self, status: str) -> None:
        self._take("end", "parent", status)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(module, "MlflowClient", lambda: server)
    for name in ("start_run", "end_run"):
        monkeypatch.setattr(module.mlflow, name, getattr(server, name))
    monkeypatch.setattr(module.mlflow, "active_run", lambda: None)
    return server


@pytest.fixture
def client(server: Server) -> TrackingClient:
    client = TrackingClient()
    client.experiment = "7"
    client.open_parent("a run", {}, None)
    assert server.calls.pop() == ("start", None, "7")
    return client


def test_parameters_are_one_request_and_none_twice(client, server) -> None:
    client.log_params({"seed": 1, "scenario.increment": [4, 3]})
    client.log_params({"seed": 1, "training.epochs": 2})
    client.log_params({"seed": 1})
    assert server.calls == [
        ("log", "parent", {"scenario.increment": "[4, 3]", "seed": "1"}),
        ("log", "parent", {"training.epochs": "2"}),
    ]


def test_metrics_without_a_value_are_left_out(client, server) -> None:
    client.log_metrics(None, [(0, {"forgetting": None}), (2, {"accuracy": 0.5})])
    assert server.calls == [("log", "parent", {"accuracy": 0.5})]


def test_a_task_s_run_is_opened_once_and_closed_before_its_parent(
    client, server
) -> None:
    for _ in range(2):
        client.open_child("task_00", {})
    client.close("KILLED")
    assert server.calls == [
        ("create", "task_00", "parent"),
        ("end", "id of task_00", "KILLED"),
        ("end", "parent", "KILLED"),
    ]


def test_runs_that_are_not_open_are_ignored(client, server) -> None:
    client.log_metrics("task_05", [(0, {"accuracy": 1.0})])
    client.close("FINISHED")
    server.calls.clear()
    client.open_child("task_00", {})
    client.log_params({"seed": 1})
    assert not client.is_open()
    assert server.calls == []


def test_a_run_that_is_created_late_gets_what_was_logged_before(client, server) -> None:
    server.up = False
    client.open_child("task_00", {})
    client.log_metrics("task_00", [(0, {"accuracy": 0.5})])
    server.up = True
    client.close("FINISHED")
    assert server.calls == [
        ("create", "task_00", "parent"),
        ("log", "id of task_00", {"accuracy": 0.5}),
        ("end", "id of task_00", "FINISHED"),
        ("end", "parent", "FINISHED"),
    ]


@pytest.mark.parametrize("is_named_by_variable", [True, False])
def test_a_continued_run_continues_the_runs_of_its_tasks(
    server: Server, monkeypatch: pytest.MonkeyPatch, is_named_by_variable: bool
) -> None:
    if is_named_by_variable:
        monkeypatch.setenv("MLFLOW_RUN_ID", "parent")
    client = TrackingClient()
    client.experiment = "7"
    client.open_parent("a run", {}, None if is_named_by_variable else "parent")
    server.calls.clear()
    client.open_child("task_00", {})
    client.open_child("task_01", {})
    client.log_metrics("task_00", [(0, {"accuracy": 0.5})])
    below = "tags.`mlflow.parentRunId` = 'parent' and attributes.run_name = "
    assert server.calls == [
        ("search", f"{below}'task_00'"),
        ("update", "earlier", "RUNNING"),
        ("search", f"{below}'task_01'"),
        ("create", "task_01", "parent"),
        ("log", "earlier", {"accuracy": 0.5}),
    ]


def test_a_run_that_was_active_is_used_and_left_open(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = SimpleNamespace(run_id="given", experiment_id="9")
    active = SimpleNamespace(info=info)
    monkeypatch.setattr(module.mlflow, "active_run", lambda: active)
    client = TrackingClient()
    client.experiment = "9"
    client.open_parent("a run", {"seed": "1"}, None)
    client.close("FINISHED")
    assert server.calls == [("log", "given", {"seed": "1"})]
