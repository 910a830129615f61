"""Runs in MLflow's own pages."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pandas as pd
import pytest

from daformer_kedro.tracking.run_page import runs_page

pytestmark = pytest.mark.browser

_CURVES = """() => [...document.querySelectorAll('.js-plotly-plot')]
    .flatMap(plot => plot.data || [])
    .filter(trace => trace.type !== 'bar' && (trace.y || []).length > 1)
    .map(trace => [...trace.y])"""


def runs(project: Any, name: str) -> list[str]:
    with sqlite3.connect(project.path / "mlflow.db") as database:
        rows = database.execute(
            "select run_uuid from runs where name like ? order by start_time", (name,)
        )
        return [row[0] for row in rows]


def accuracies(project: Any, seed: int) -> list[float]:
    (folder,) = (project.path / "data" / "08_reporting").glob(f"*_seed{seed}_*")
    return json.loads((folder / "metrics.json").read_text())["accuracy_after_task"]


def wait_for_curve(page: Any, expected: list[float]) -> None:
    page.wait_for_function(
        f"""expected => ({_CURVES})().some(curve =>
            curve.length === expected.length &&
            curve.every((value, i) => Math.abs(value - expected[i]) < 1e-6))""",
        arg=expected,
    )


def test_runs_are_listed(page: Any, compared: Any) -> None:
    _, server = compared
    page.goto(f"{server.uri}/#/experiments/1/runs")
    for seed in (0, 1):
        page.get_by_text(f"test_S_order-identity_seed{seed}").first.wait_for()
    assert page.get_by_text("task_00").count() == 0  # below their parents


def test_the_address_of_a_run_shows_it_among_training_runs(
    page: Any, compared: Any
) -> None:
    project, server = compared
    run = runs(project, "test_S%")[0]
    page.goto(str(runs_page(server.uri, "", "", "1", run)))
    page.get_by_role("heading", name="test_S_order-identity_seed0").wait_for()
    assert page.get_by_text("Evaluation runs").count() == 0  # of language models
    page.goto(str(runs_page(server.uri, "", "", "1")))
    page.get_by_text("test_S_order-identity_seed0").first.wait_for()
    assert page.get_by_text("Evaluation runs").count() == 0


def test_two_parents_share_one_chart(page: Any, compared: Any) -> None:
    project, server = compared
    page.goto(f"{server.uri}/#/experiments/1/runs?compareRunsMode=CHART")
    page.get_by_text("accuracy_after_task").first.wait_for()
    for seed in (0, 1):
        wait_for_curve(page, accuracies(project, seed))
    together = page.evaluate(
        """() => Math.max(...[...document.querySelectorAll('.js-plotly-plot')]
            .map(plot => plot.querySelectorAll('.scatterlayer .trace').length))"""
    )
    assert together >= 2


def test_the_compare_page_sets_two_parents_side_by_side(
    page: Any, compared: Any
) -> None:
    project, server = compared
    parents = json.dumps(runs(project, "test_S%"))
    page.goto(f'{server.uri}/#/compare-runs?runs={parents}&experiments=["1"]')
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    page.get_by_text("test_S_order-identity_seed1").first.wait_for()
    lines = [row.inner_text().split("\t") for row in page.locator("tr").all()]
    rows = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    names = [f"test_S_order-identity_seed{seed}" for seed in (0, 1)]
    assert rows["Run Name:"] == names
    assert rows["seed"] == ["0", "1"]
    assert rows["memory.total"] == ["30", "30"]


def test_a_task_has_charts_over_its_epochs(page: Any, compared: Any) -> None:
    project, server = compared
    child = runs(project, "task_00")[0]
    page.goto(f"{server.uri}/#/experiments/1/runs/{child}/model-metrics")
    page.get_by_text("loss_total").first.wait_for()
    (folder,) = (project.path / "data" / "08_reporting").glob("*_seed0_*")
    history = pd.read_csv(folder / "task_00" / "training_history.csv")
    wait_for_curve(page, history["loss"].tolist())
