"""Tables of predictions with times: what is taken, left out and refused."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daformer_kedro.config import MonitorConfig
from daformer_kedro.errors import InputError
from daformer_kedro.serving.stream import (
    is_table,
    labels_not_learnt,
    observed_days,
    stream_of_table,
)

NAMES = ("cat", "NA", "7")


def rows(**columns: Any) -> pd.DataFrame:
    given = {
        "image": ["a.png", "b.png", "c.png", "d.png"],
        "time": [
            "2026-11-24T23:59:59+02:00",
            "2026-11-24",
            "2026-11-25 08:00",
            "2026-11-30T00:00:00Z",
        ],
        "class_1": ["cat", "NA", "7", "cat"],
        "probability_1": [0.5, 0.75, 1.0, 0.25],
        "unknown_score": [0.1, 0.2, -3.0, 0.4],
        "error": None,
    }
    return pd.DataFrame({**given, **columns})


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Write a table in a format, and read it as a stream."""

    def read(table: pd.DataFrame, suffix: str = ".csv", **settings: Any) -> Any:
        path = tmp_path / f"predictions{suffix}"
        if suffix == ".parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path, index=False, sep=settings.pop("sep", ","))
        assert is_table(path)
        return stream_of_table(path, MonitorConfig(**settings), "the model")

    return read


@pytest.mark.parametrize(
    ("suffix", "settings"), [(".csv", {}), (".csv", {"sep": ";"}), (".parquet", {})]
)
def test_days_are_as_written(read: Any, suffix: str, settings: Any) -> None:
    stream = read(rows(), suffix, **settings)
    assert stream.left_out == {}
    days = observed_days(stream.table, NAMES, "given")
    assert {name: len(day) for name, day in days.items()} == {
        "2026-11-24": 2,
        "2026-11-25": 1,
        "2026-11-30": 1,
    }
    assert days["2026-11-24"].predicted.tolist() == [0, 1]  # a class may be called NA
    assert days["2026-11-25"].confidences.tolist() == [1.0]
    assert days["2026-11-30"].unknown_scores.tolist() == [0.4]
    assert days["2026-11-24"].targets is None
    assert days["2026-11-24"].embeddings is None


def test_weeks_months_and_limits(read: Any) -> None:
    # 2026-11-24 is a Tuesday, 2026-11-30 a Monday.
    weeks = read(rows(), period="week").table["day"]
    assert weeks.tolist() == ["2026-11-23"] * 3 + ["2026-11-30"]
    assert set(read(rows(), period="month").table["day"]) == {"2026-11-01"}
    limits = {"since": datetime(2026, 11, 25).date(), "until": "2026-11-29"}
    assert read(rows(), **limits).table["image"].tolist() == ["c.png"]


def test_timestamps_labels_and_embeddings_of_a_parquet_file(read: Any) -> None:
    table = rows(
        when=pd.to_datetime(["2026-11-24", "2026-11-24", None, "2026-11-25"]),
        truth=[7.0, np.nan, 7.0, 9.0],
        embedding=[np.full(3, n, np.float16) for n in range(4)],
    )
    stream = read(table, ".parquet", time_column="when", label_column="truth")
    assert stream.left_out == {"without a readable time": 1}
    days = observed_days(stream.table, NAMES, "given")
    assert days["2026-11-24"].targets.tolist() == [2, -1]
    assert days["2026-11-25"].targets.tolist() == [-1]
    assert days["2026-11-25"].embeddings.tolist() == [[3, 3, 3]]
    assert labels_not_learnt(stream.table, NAMES) == {"9": 1}


def test_rows_without_an_answer_are_counted(read: Any) -> None:
    table = rows(
        error=["no image", None, None, None],
        time=["2026-11-24", "yesterday", "2026-11-25", "2026-11-25"],
        unknown_score=[None, 0.1, "nan", 0.3],
    )
    stream = read(table)
    assert stream.table["image"].tolist() == ["d.png"]
    assert stream.left_out == {
        "could not be read": 1,
        "without a readable time": 1,
        "without a class, a probability or a score": 1,
    }


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"time": "today"}, {}, "time = 'today': must be a time in ISO 8601"),
        ({"time": 1795749778}, {}, "must be a time in ISO 8601"),
        ({"probability_1": 97.0}, {}, "probability_1 = 97.0: must be from 0 to 1"),
        ({"unknown_score": None}, {}, "has no image to report: 4 without a class"),
        ({}, {"since": "2027-01-01"}, "has no image to report: monitor.since = 2027"),
        ({}, {"time_column": "at"}, r"has no column at; it has image, time, .*Needed"),
        ({}, {"label_column": "truth"}, "has no column truth .monitor.label_column"),
    ],
)
def test_what_is_no_such_table_is_named(
    read: Any, change: Any, settings: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(rows(**change), **settings)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_files_that_are_damaged_or_away(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: does not exist"):
        stream_of_table(tmp_path / name, MonitorConfig(), "m")
    for content in (b"", b"\xff\x00\n\x00,"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            stream_of_table(tmp_path / name, MonitorConfig(), "m")


def test_predictions_of_another_model(read: Any) -> None:
    table = read(rows()).table
    with pytest.raises(
        InputError, match=r"'7' is not a class of the model.*monitor\.model"
    ):
        observed_days(table, ("cat", "NA", "8"), "given")
    mixed = table.assign(embedding=[[1.0], [1.0, 2.0], [1.0], [1.0]])
    with pytest.raises(InputError, match="equally many numbers"):
        observed_days(mixed, NAMES, "given")
    partly = table.assign(embedding=[[1.0], None, [1.0], [1.0]])
    assert observed_days(partly, NAMES, "given")["2026-11-24"].embeddings is None


def test_logs_of_a_folder_and_what_is_damaged_in_them(tmp_path: Path) -> None:
    line = {"model": "m", "class_1": "cat", "probability_1": 0.5, "unknown_score": 0.1}
    first = json.dumps({"time": "2026-11-24T08:00:00+00:00", **line})
    other = json.dumps({"time": "2026-11-25T08:00:00+00:00", **line, "model": "o"})
    (tmp_path / "requests-2026-11-24.jsonl").write_text(f"{first}\n{first[:20]}")
    (tmp_path / "requests-2026-11-25.jsonl").write_text(f"{other}\n3\n\n{first}\n")
    assert is_table(tmp_path)
    stream = stream_of_table(tmp_path, MonitorConfig(), "m")
    assert stream.table["day"].tolist() == ["2026-11-24"] * 2
    assert stream.left_out == {"damaged lines": 2, "answered by another model": 1}
    stream.table.to_parquet(tmp_path / "stored.parquet")  # logs name no images
    assert pd.read_parquet(tmp_path / "stored.parquet").equals(stream.table)
    # Logs of other days, by their names, are not opened.
    (tmp_path / "requests-2026-11-26.jsonl").mkdir()
    some = MonitorConfig(until="2026-11-25")
    assert len(stream_of_table(tmp_path, some, "m").table) == 2
    late = MonitorConfig(since="2026-12-01")
    with pytest.raises(
        InputError, match=r"^\S+: has no image to report: monitor\.since"
    ):
        stream_of_table(tmp_path, late, "m")
