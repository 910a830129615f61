"""Kedro's HTTP server runs pipelines as the terminal does."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from daformer_kedro.storage.state_file import StateFile

NUM_EPOCHS = 40
"""Enough to be killed in the middle."""

PARAMS = {
    "training": {"epochs": NUM_EPOCHS, "save_every": 1},
    "scenario": {"increment": 5},
}

STEP = {"pipeline_names": ["ingestion", "task_00"], "params": PARAMS}

pytestmark = [
    pytest.mark.slow,
    # What Kedro's and MLflow's parts say of each other.
    pytest.mark.filterwarnings("ignore", "error:::daformer_kedro"),
]


class Server:
    """``kedro server start --env test``, and what is asked of it."""

    def __init__(self, started: Any, project: Any, port: int) -> None:
        words = [sys.executable, "-m", "kedro", "server", "start", "--env", "test"]
        self._started = started([*words, "--port", port], cwd=project.path)
        self._address = f"http://127.0.0.1:{port}"
        self._started.answer(f"{self._address}/health")

    def snapshot(self, params: str = "") -> Any:
        query = urllib.parse.urlencode({"params": params} if params else {})
        return json.loads(self._started.answer(f"{self._address}/snapshot?{query}"))

    def run(self, **request: Any) -> Any:
        asked = urllib.request.Request(
            f"{self._address}/run",
            json.dumps(request).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=500) as answer:
            return json.load(answer)

    def kill(self) -> None:
        os.kill(self._started.process.pid, signal.SIGKILL)

    def log(self) -> str:
        return str(self._started.log.read_text())

    def stop(self) -> None:
        self._started.stop()


@contextmanager
def serving(started: Any, project: Any, port: int) -> Iterator[Server]:
    server = Server(started, project, port)
    try:
        yield server
    finally:
        server.stop()


def checkpoint(project: Any) -> bytes:
    path: Path = project.folder("06_models") / "task_00" / "checkpoint.safetensors"
    return path.read_bytes()


def test_a_killed_server_s_run_is_resumed_by_the_next_and_ends_with_the_same_bytes(
    project: Any, started: Any, free_port: Any, tmp_path: Path
) -> None:
    project._provide_database()
    with (
        ThreadPoolExecutor() as threads,
        serving(started, project, free_port()) as server,
    ):
        shown = server.snapshot("scenario.increment=2")["pipelines"]
        assert sum(p["name"].startswith("task_") for p in shown) == 5
        refused = server.run(params={"training": {"epochs": -1}})
        assert refused["status"] == "failure"
        assert refused["error"]["message"].startswith("training.epochs = -1")
        first: Future[Any] = threads.submit(server.run, **STEP)
        while not list(project.path.rglob("task_00/training.state")):
            assert not first.done(), first.result()
            time.sleep(0.05)
        second = server.run(**STEP)
        assert second["status"] == "failure"
        assert "is being written by this process" in second["error"]["message"]
        # Looking at other settings meanwhile changes nothing for the run.
        assert server.snapshot("seed=7,scenario.increment=2")["status"] == "success"
        server.kill()
        assert first.exception() is not None
    # The kill may have left a half-written one in a folder of its own beside it.
    (state,) = project.path.rglob("task_00/training.state")
    before = StateFile(state, json.loads(state.read_bytes().partition(b"\n")[0])["key"])
    seconds = [epoch["seconds"] for epoch in before.load()["history"]]
    with serving(started, project, free_port()) as server:
        assert server.run(**STEP)["status"] == "success"
        assert "read_images: reused" in server.log()
        assert "Resuming the run that was begun" in server.log()
        again = server.run(**STEP, only_missing_outputs=True)
        assert again["status"] == "success"
        assert "Nothing to do: all" in server.log()
    resumed = checkpoint(project)
    # The epochs before the kill were not trained again.
    history = project.folder("08_reporting") / "task_00" / "training_history.csv"
    assert list(pd.read_csv(history)["seconds"][: len(seconds)]) == seconds
    client = MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    runs = client.search_runs(["1"])
    of_task = {r.info.status: r for r in runs if r.info.run_name == "task_00"}
    assert sorted(of_task) == ["FINISHED", "KILLED"]
    assert sorted(r.info.status for r in runs) == 2 * ["FINISHED"] + 2 * ["KILLED"]
    # The terminal, in one go, elsewhere.
    other = type(project)(tmp_path / "other")
    other.run("ingestion", "task_00", params=PARAMS)
    assert checkpoint(other) == resumed
