"""A run on several devices."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from daformer_kedro.learning.distributed import launch


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "ray"])
def test_two_ranks_are_one_run_with_one_memory(
    project: Any, finished: Any, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    used = Mock(wraps=launch.ENGINES[engine])
    monkeypatch.setitem(launch.ENGINES, engine, used)
    params = {"training": {"devices": 2, "engine": engine}}
    project.run("ingestion", "task_00", params=params)
    used.assert_called_once()
    folder = project.folder("06_models")
    # The same key as with one device, and the same numbers within rounding.
    assert folder.name == finished.folder("06_models").name
    name = Path("task_00", "checkpoint.safetensors")
    mine, theirs = (load_file(p / name) for p in (folder, finished.folder("06_models")))
    for key, weight in theirs.items():
        torch.testing.assert_close(mine[key], weight, rtol=1e-3, atol=1e-4)
    assert not list(folder.rglob(".*"))
    exemplars = [
        pd.read_parquet(p.folder("05_model_input") / "task_00" / "exemplars.parquet")
        for p in (project, finished)
    ]
    pd.testing.assert_frame_equal(*exemplars)
    with sqlite3.connect(project.path / "mlflow.db") as database:
        runs = [row[0] for row in database.execute("select name from runs")]
        steps = database.execute(
            "select step from metrics where key = 'train/loss_total' order by step"
        ).fetchall()
    assert sorted(runs) == ["task_00", finished.folder("06_models").name[:-9]]
    assert steps == [(0,), (1,)]
