"""Kedro's inspection and its server tell of this project what is true."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.startup import bootstrap_project
from kedro.inspection import get_project_snapshot

from daformer_kedro.usage import UsageError

# What Kedro's parts say of each other.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::daformer_kedro")


@pytest.mark.parametrize(
    ("env", "params", "num_tasks", "key"),
    [
        ("test", {}, 3, "test_S_order-identity_seed0_"),
        ("test", {"scenario": {"increment": [6, 4]}}, 2, "test_S_"),
        (None, {"model": {"edition": "M"}}, 5, "digits_M_"),
        ("test", {}, 3, "test_S_"),  # again, after others in this process
    ],
)
def test_a_snapshot_has_the_tasks_and_paths_of_its_settings(
    untouched: Any, env: str | None, params: dict[str, Any], num_tasks: int, key: str
) -> None:
    found = get_project_snapshot(untouched.path, env=env, runtime_params=params)
    tasks = [p.name for p in found.pipelines if p.name.startswith("task_")]
    assert tasks == [f"task_{number:02d}" for number in range(num_tasks)]
    last = f"task_{num_tasks - 1:02d}.metrics"
    assert key in str(found.datasets[last].filepath)
    assert f"task_{num_tasks:02d}.metrics" not in found.datasets


def test_snapshots_at_once_have_each_their_own_tasks_and_paths(
    untouched: Any,
) -> None:
    asked = [(1, 10), (2, 5), (5, 2), (10, 1)]
    metadata = bootstrap_project(untouched.path)  # once, as Kedro's server does
    begin = threading.Barrier(len(asked))

    def tasks_and_key(increment: int) -> tuple[int, str]:
        begin.wait()
        params = {"scenario": {"increment": increment}, "seed": increment}
        found = get_project_snapshot(
            metadata=metadata, env="test", runtime_params=params
        )
        tasks = [p.name for p in found.pipelines if p.name.startswith("task_")]
        return len(tasks), str(found.datasets["task_00.metrics"].filepath)

    with ThreadPoolExecutor(len(asked)) as threads:
        found = list(threads.map(tasks_and_key, [increment for increment, _ in asked]))
    for (num_tasks, path), (increment, expected) in zip(found, asked, strict=True):
        assert num_tasks == expected
        assert f"_seed{increment}_" in path


def override(project: Any, text: str) -> None:
    path: Path = project.path / "conf" / "test" / "catalog.yml"
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("place", ["s3://bucket/metrics.json", "memory://metrics.json"])
def test_a_protocol_is_refused_by_name(project: Any, place: str) -> None:
    override(
        project,
        f"""
metrics:
  type: daformer_kedro.datasets.StoredDataset
  filepath: {place}
  dataset: json.JSONDataset
""",
    )
    expected = rf"^metrics in the catalog: filepath = '{place}': .*json\.JSONDataset"
    with pytest.raises(UsageError, match=expected):
        project.run("ingestion")
    assert project.files() == set()
    assert not list(project.path.glob("*:"))


@pytest.mark.slow
def test_metrics_and_report_can_lie_elsewhere_with_kedros_own_types(
    project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    override(
        project,
        """
metrics: {type: json.JSONDataset, filepath: "memory://results/metrics.json"}
report: {type: text.TextDataset, filepath: "memory://results/report.html"}
""",
    )
    project.run()
    assert len(project.load("metrics")["accuracy_after_task"]) == 3
    assert project.load("report").lower().startswith("<!doctype html>")
    names = {path.name for path in project.folder("08_reporting").iterdir()}
    assert "results.csv" in names
    assert names.isdisjoint({"metrics.json", "report.html"})
    folder = project.folder("08_reporting").relative_to(project.path)
    assert f"Results and figures: {folder}" in capsys.readouterr().out
    # What lies elsewhere may have changed: what reads it is not taken for up to date.
    project.run("evaluation", only_missing_outputs=True)
    assert "write_report: reused" not in capsys.readouterr().out
