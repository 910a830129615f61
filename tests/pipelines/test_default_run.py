"""The whole pipeline on real digits, in the small test environment."""

from __future__ import annotations

import base64
import itertools
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors import safe_open

TASKS = ("task_00", "task_01", "task_02")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_metrics_say_what_the_predictions_say(finished: Any) -> None:
    metrics = read(finished.folder("08_reporting") / "metrics.json")
    predictions = [
        pd.read_parquet(
            finished.folder("07_model_output") / task / "predictions.parquet"
        )
        for task in TASKS
    ]
    for task, table in enumerate(predictions):
        right = table["target"] == table["predicted"]
        assert metrics["accuracy_after_task"][task] == pytest.approx(right.mean())
        row = right.groupby(table["task"]).mean()
        for other in range(3):
            value = metrics["accuracy_matrix"][task][other]
            if other > task:
                assert value is None
            else:
                assert value == pytest.approx(row[other])
    average = sum(metrics["accuracy_after_task"]) / 3
    assert metrics["average_incremental_accuracy"] == pytest.approx(average)
    assert metrics["last_accuracy"] == metrics["accuracy_after_task"][-1]
    matrix = metrics["accuracy_matrix"]
    forgotten = [max(matrix[0][0], matrix[1][0]), matrix[1][1]]
    expected = sum(f - matrix[2][j] for j, f in enumerate(forgotten)) / 2
    assert metrics["forgetting"] == pytest.approx(expected)
    assert metrics["top5_accuracy_after_task"][0] is None
    assert 0 < metrics["top5_accuracy_after_task"][1] <= 1


def test_each_task_tests_all_classes_so_far_on_held_out_images(finished: Any) -> None:
    tables = [
        pd.read_parquet(finished.folder("03_primary") / task / "samples.parquet")
        for task in TASKS
    ]
    counts = []
    for task, table in enumerate(tables):
        train, test = (table[table["split"] == split] for split in ("train", "test"))
        assert set(train["task"]) == {task}
        assert set(test["task"]) == set(range(task + 1))
        counts.append((len(train), len(test)))
    # 1,797 digits, a fifth of each class held out.
    assert sum(train for train, _ in counts) == 1437
    assert counts[-1][1] == 360


def test_the_memory_keeps_its_budget_and_its_order(finished: Any) -> None:
    folder = finished.folder("05_model_input")
    memories = [pd.read_parquet(folder / task / "exemplars.parquet") for task in TASKS]
    for memory, num_classes in zip(memories, (4, 7, 10), strict=True):
        assert len(memory) <= 30
        assert (memory.groupby("target").size() == 30 // num_classes).all()
    for before, after in itertools.pairwise(memories):
        kept = after[after["target"].isin(before["target"])]
        joined = kept.merge(before, on=["target", "rank"], suffixes=("", "_before"))
        assert len(joined) == len(kept)
        assert (joined["sample_index"] == joined["sample_index_before"]).all()
    metrics = read(finished.folder("08_reporting") / "metrics.json")
    assert metrics["num_exemplars"] == [len(memory) for memory in memories]


def test_a_task_trains_on_its_classes_and_the_memory(finished: Any) -> None:
    folder = finished.folder("05_model_input")
    data = pd.read_parquet(folder / "task_01" / "task_data.parquet")
    memory = pd.read_parquet(folder / "task_00" / "exemplars.parquet")
    assert set(data.loc[~data["is_exemplar"], "target"]) == {4, 5, 6}
    assert set(data.loc[data["is_exemplar"], "sample_index"]) == set(
        memory["sample_index"]
    )


def test_checkpoints_are_plain_data_and_describe_themselves(finished: Any) -> None:
    path = finished.folder("06_models") / "task_02" / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        description = json.loads(file.metadata()["daformer"])
    assert description["task_sizes"] == [4, 3, 3]
    assert description["class_names"] == [str(digit) for digit in range(10)]
    assert description["model"]["embed_dim"] == 16
    assert description["preprocessing"] == {
        "mean": [0.305],
        "std": [0.376],
        "image_size": None,
        "resize": None,
    }


def test_mlflow_holds_one_parent_and_one_child_a_task(project: Any) -> None:
    project.run()
    with sqlite3.connect(project.path / "mlflow.db") as database:
        runs = dict(database.execute("select run_uuid, name from runs"))
        statuses = {row[0] for row in database.execute("select status from runs")}
        parents = dict(
            database.execute(
                "select run_uuid, value from tags where key = 'mlflow.parentRunId'"
            )
        )
        epochs = database.execute(
            "select run_uuid, key, step, value from metrics "
            "where key in ('train/loss_total', 'train/learning_rate')"
        ).fetchall()
        params = dict(database.execute("select key, value from params"))
        finals = dict(
            database.execute(
                "select key, value from metrics where key = 'last_accuracy'"
            )
        )
    assert sorted(runs.values()) == [*TASKS, "test_S_order-identity_seed0"]
    (parent,) = (run for run, name in runs.items() if name not in TASKS)
    assert set(parents.values()) == {parent}
    assert {runs[child] for child in parents} == set(TASKS)
    assert statuses == {"FINISHED"}
    # Three tasks, two epochs each, two series.
    assert len(epochs) == 12
    assert params["training.epochs"] == "2"
    assert params["losses.knn_distillation.num_neighbours"] == "5"
    metrics = read(project.folder("08_reporting") / "metrics.json")
    assert finals["last_accuracy"] == pytest.approx(metrics["last_accuracy"])


def test_report_files_are_attached_to_their_runs(finished: Any) -> None:
    names = {path.name for path in (finished.path / "mlartifacts").rglob("*.*")}
    assert {
        "metrics.json",
        "accuracy_matrix.png",
        "training_curves.png",
        "exemplar_sheet.png",
        "training_history.csv",
    } <= names


def test_a_second_run_gives_the_same_bytes(finished: Any, project: Any) -> None:
    project.run()
    compared = 0
    for path in sorted(finished.files()):
        if path.name == "costs.json":  # holds durations
            continue
        if path.suffix in (".safetensors", ".json", ".parquet", ".npy"):
            one = (finished.path / "data" / path).read_bytes()
            assert (project.path / "data" / path).read_bytes() == one, path
            compared += 1
    # Images, scenario, metrics, and for each task samples, data, exemplars,
    # predictions, metrics and models.
    assert compared >= 25


def test_nothing_temporary_is_left(finished: Any) -> None:
    assert not [path for path in finished.files() if path.name.startswith(".")]
    assert not [path for path in finished.files() if path.parent.name.startswith(".")]


def test_the_report_shows_the_run_and_how_to_repeat_it(finished: Any) -> None:
    text = (finished.folder("08_reporting") / "report.html").read_text()
    assert "<title>test_S_order-identity_seed0</title>" in text
    assert "<code>kedro run --env test</code>" in text
    captions = re.findall("<figcaption>(.*?)</figcaption>", text)
    assert captions == [
        "Incremental accuracy",
        "Accuracy matrix",
        "Forgetting",
        "Confusion matrix",
        "Neighbourhood preservation",
        "Training curves",
        "Attention",
        "Exemplar sheet",
    ]
    assert "training.epochs</th><td>2<" in text


def test_every_task_has_a_sheet_of_its_exemplars(finished: Any) -> None:
    sheets = [
        finished.folder("08_reporting") / task / "exemplar_sheet.png" for task in TASKS
    ]
    assert len({sheet.read_bytes() for sheet in sheets}) == 3
    report = (finished.folder("08_reporting") / "report.html").read_text()
    assert base64.b64encode(sheets[-1].read_bytes()).decode() in report
