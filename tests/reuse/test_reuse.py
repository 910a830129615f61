"""Exactly what something changed for is computed again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch

from daformer_kedro.reuse import fingerprint
from daformer_kedro.storage.record import read_record, record_path

EVERYTHING_AFTER_TASK_00_IS_SELECTED = {
    "task_00.select_exemplars",
    "task_00.evaluate_task",
    *(f"task_01.{name}" for name in ("assemble_task_data", "find_teacher_neighbours")),
    *(f"task_02.{name}" for name in ("assemble_task_data", "find_teacher_neighbours")),
    *(
        f"task_0{task}.{name}"
        for task in (1, 2)
        for name in (
            "train_task",
            "select_exemplars",
            "finetune_on_memory",
            "evaluate_task",
        )
    ),
    "summarise",
    "tabulate",
    "join_histories",
    "draw_accuracy",
    "draw_confusion",
    "draw_training",
    "draw_attention",
    "write_report",
    "measure_unknown_00",
    "measure_unknown_01",
    "calibrate",
    "summarise_confidence",
    "describe_model",
    *(f"task_0{task}.draw_exemplars" for task in range(3)),
}


def test_nothing_changed_nothing_runs_and_mlflow_holds_no_empty_run(copy: Any) -> None:
    before = copy.runs()
    assert copy.again() == set()
    assert len(copy.said) == 35
    assert copy.runs() == before


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("task_01/metrics.json", "task_01.evaluate_task"),
        ("task_00/exemplars.parquet", "task_00.select_exemplars"),
        ("scenario.json", "order_classes"),
        ("accuracy_matrix.csv", "tabulate"),
        ("images", "read_images"),
    ],
)
@pytest.mark.parametrize("how", ["deleted", "flipped", "truncated", "unrecorded"])
def test_a_lost_result_is_made_again_and_nothing_else(
    copy: Any, name: str, maker: str, how: str
) -> None:
    path: Path = copy.file(name)
    file = path / "train_images.npy" if path.is_dir() else path
    whole = file.read_bytes()
    if how == "deleted":
        file.unlink()
    elif how == "flipped":
        file.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    elif how == "truncated":
        file.write_bytes(whole[:-1])
    else:
        record_path(path).unlink()
    assert copy.again() == {maker}
    if how in ("flipped", "truncated"):
        assert copy.said[maker].startswith("damaged: data/")
        assert path.name in copy.said[maker]
    assert file.read_bytes() == whole


def test_a_changed_setting_runs_what_depends_on_it_and_finds_the_rest(
    copy: Any,
) -> None:
    ran = copy.again(params={"memory": {"total": 40}})
    assert ran == EVERYTHING_AFTER_TASK_00_IS_SELECTED
    said = copy.said["task_00.select_exemplars"]
    assert said == "memory.total changed 30 → 40"
    assert copy.said["task_00.train_task"].startswith("reused from test_S_")
    # Both results are there; going back finds the earlier ones, and forth the later.
    assert copy.again() == set()
    assert copy.again(params={"memory": {"total": 40}}) == set()


def test_settings_that_change_no_result_change_nothing(copy: Any) -> None:
    params = {"training": {"save_every": 1}, "cache": {"strict": True}}
    assert copy.again(params=params) == set()


def test_changed_code_runs_its_nodes_and_stops_where_the_same_comes_out(
    copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fingerprint.code_of

    def changed(*things: Any) -> dict[str, str]:
        code = real(*things)
        metrics = "daformer_kedro.evaluation.metrics"
        if metrics in code and "daformer_kedro.pipelines.task.evaluation_nodes" in code:
            code[metrics] = "changed"
        return code

    monkeypatch.setattr(fingerprint, "code_of", changed)
    assert copy.again() == {f"task_0{task}.evaluate_task" for task in range(3)}
    said = copy.said["task_00.evaluate_task"]
    assert said == "code changed: daformer_kedro.evaluation.metrics"
    assert copy.again() == set()


def test_another_version_of_torch_is_said_and_strictly_computed_again(
    copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = torch.__version__
    real = fingerprint.Fingerprinter.environment

    def other(self: Any, node: Any) -> dict[str, str]:
        facts = real(self, node)
        return facts and {**facts, "torch": "99.0"}

    monkeypatch.setattr(fingerprint.Fingerprinter, "environment", other)
    assert copy.again() == set()
    change = f"torch changed {version} → 99.0"
    assert copy.said["task_00.train_task"] == f"reused, although {change}"
    assert copy.said["order_classes"] == "reused"
    ran = copy.again("task_00", params={"cache": {"strict": True}})
    # Selection and evaluation of task 0 name a device too.
    assert ran == {
        "task_00.train_task",
        "task_00.select_exemplars",
        "task_00.evaluate_task",
    }
    assert copy.said["task_00.train_task"] == change


def test_a_plain_run_computes_everything_again(copy: Any) -> None:
    before = read_record(copy.file("task_00/metrics.json"))
    copy.plain()
    found = [
        read_record(path.with_name(path.name.removesuffix(".meta")))
        for path in (copy.path / "data").rglob("*.meta")
    ]
    attempts = {
        record.provenance.attempt for record in found if record and record.provenance
    }
    assert before is not None
    assert before.provenance is not None
    assert len(attempts) == 1
    assert before.provenance.attempt not in attempts


def test_mlflow_shows_what_was_reused_and_where_it_was_made(copy: Any) -> None:
    record = read_record(copy.file("task_00/checkpoint.safetensors"))
    assert record is not None
    assert record.provenance is not None
    with sqlite3.connect(copy.path / "mlflow.db") as database:
        query = "select name from runs where run_uuid = ?"
        (made,) = database.execute(query, [record.provenance.mlflow_run]).fetchone()
        assert made == "task_00"
        copy.file("results.csv").unlink()
        copy.again()
        tags = dict(
            database.execute(
                "select key, value from tags where run_uuid = (select run_uuid from "
                "runs order by start_time desc limit 1)"
            )
        )
    assert tags["reused.task_00.train_task"] == record.provenance.mlflow_run
    assert f"runs/{record.provenance.mlflow_run})" in tags["mlflow.note.content"]
    assert "reused.tabulate" not in tags


def test_a_damaged_input_is_named_where_it_cannot_be_made_again(copy: Any) -> None:
    path = copy.file("task_00/checkpoint.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"task_00/checkpoint\.safetensors is damaged"):
        copy.plain("task_01")
