"""Streams of predictions: tables of the inference pipeline, and request logs."""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from daformer_kedro.config import MonitorConfig
from daformer_kedro.errors import InputError
from daformer_kedro.serving.prediction import EMBEDDING
from daformer_kedro.serving.request_log import read_lines
from daformer_kedro.serving.stream.days import (
    DAY,
    LABEL,
    Stream,
    period_of,
    refuse_empty,
    wanted,
)

LOG_SUFFIX = ".jsonl"
SUFFIXES = (".csv", ".parquet", LOG_SUFFIX)
_NUMBERS = ("probability_1", "unknown_score")
_NEEDED = ("class_1", *_NUMBERS)
_SEPARATORS = ",;\t"


def is_table(given: Path) -> bool:
    """Return whether a path is a table, or a folder of request logs, not of images."""
    if os.path.isdir(given):
        return any(given.glob(f"*{LOG_SUFFIX}"))
    return given.suffix.lower() in SUFFIXES


def stream_of_table(given: Path, config: MonitorConfig, model: str) -> Stream:
    """Read predictions with the time at which each image arrived.

    Args:
        given: see :func:`is_table`. Besides the columns that the inference pipeline
            writes it has a column of times in ISO 8601 (days are as written, in the
            time zone of the writer), and may have one of labels and ``embedding``.
        config: names of the columns, first and last day, period.
        model: name of the model; lines of a log that another one has answered are
            counted and left out.

    Raises:
        InputError: it is not such a table, has not all columns, no row with a date, or
            a value that is not a probability.
    """
    table, left_out = _read(given, config)
    needed = (config.time_column, *_NEEDED)
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputError(
            f"{given}: has no column {' and no column '.join(missing)}; it has "
            f"{', '.join(map(str, table.columns))}. Needed: {needed[0]} "
            f"(monitor.time_column), and {', '.join(_NEEDED)} as kedro run --pipelines "
            "inference writes them"
        )
    if "error" in table:
        is_bad = table["error"].notna()
        table = _without(table, is_bad, left_out, "could not be read")
    if given.suffix.lower() not in SUFFIXES[:2] and "model" in table:
        is_other = table["model"] != model
        table = _without(table, is_other, left_out, "answered by another model")
    table = _of_days(given, table, config, left_out)
    table = _with_numbers(given, table, left_out)
    refuse_empty(str(given), len(table), left_out, config)
    return Stream(_columns(given, table, config), left_out)


def _read(given: Path, config: MonitorConfig) -> tuple[pd.DataFrame, Counter[str]]:
    """Read the rows; lines of a log that cannot be read are counted."""
    left_out: Counter[str] = Counter()
    suffix = given.suffix.lower()
    try:
        if os.path.isdir(given):
            paths = [p for p in sorted(given.glob("*.jsonl")) if _is_asked(p, config)]
            refuse_empty(str(given), len(paths), left_out, config)
            logs = [_read_log(path, left_out) for path in paths]
            return pd.concat(logs, ignore_index=True), left_out
        if suffix == LOG_SUFFIX:
            return _read_log(given, left_out), left_out
        if suffix == ".parquet":
            return pd.read_parquet(given), left_out
        with given.open(encoding="utf-8-sig") as file:
            header = file.readline()
        separator = max(_SEPARATORS, key=header.count)
        # A class may be called NA.
        table = pd.read_csv(
            given,
            sep=separator,
            dtype="string",
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=[""],
        )
        return table, left_out
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{given}: does not exist") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's are of these kinds
        raise InputError(f"{given}: cannot be read as a table: {error}") from error


def _is_asked(path: Path, config: MonitorConfig) -> bool:
    """Return whether a log may have days that are asked for, by its name."""
    named = re.fullmatch(r"requests-(\d{4}-\d\d-\d\d)", path.stem)
    return named is None or wanted([_day(named[1])], config)[0]


def _read_log(path: Path, left_out: Counter[str]) -> pd.DataFrame:
    rows, num_damaged = read_lines(path)
    if num_damaged:
        left_out["damaged lines"] += num_damaged
    return pd.DataFrame(rows)


def _without(
    table: pd.DataFrame, is_out: Any, left_out: Counter[str], reason: str
) -> pd.DataFrame:
    """Return the other rows, and count those that are left out."""
    number = int(np.sum(is_out))
    if number:
        left_out[reason] += number
    return table[~np.asarray(is_out, dtype=bool)]


def _of_days(
    given: Path, table: pd.DataFrame, config: MonitorConfig, left_out: Counter[str]
) -> pd.DataFrame:
    """Return the rows of the days that are asked for, with their day."""
    times = table[config.time_column]
    days = [_day(value) for value in times]
    if days and not any(days):
        raise InputError(
            f"{given}: {config.time_column} = {times.iloc[0]!r}: must be a time in ISO "
            "8601, such as 2026-11-24T08:30:00"
        )
    is_undated = [day is None for day in days]
    is_wanted = np.array(wanted(days, config), dtype=bool)
    names: list[Any] = [None if day is None else period_of(day, config) for day in days]
    _without(table, is_undated, left_out, "without a readable time")
    return table.assign(**{DAY: names})[is_wanted]


def _day(value: Any) -> date | None:
    """Return the date as it is written; ``None`` where it cannot be read."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime):  # pandas' timestamps too
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return datetime.fromisoformat(str(value).strip()).date()
    except ValueError:
        return None


def _with_numbers(
    given: Path, table: pd.DataFrame, left_out: Counter[str]
) -> pd.DataFrame:
    """Return the rows that have a class, and all numbers as such."""
    numbers = {
        name: pd.to_numeric(table[name], errors="coerce").astype(float)
        for name in _NUMBERS
    }
    table = table.assign(**numbers)
    is_finite = np.isfinite(table[list(_NUMBERS)].to_numpy()).all(axis=1)
    is_whole = is_finite & table["class_1"].notna().to_numpy()
    reason = "without a class, a probability or a score"
    table = _without(table, ~is_whole, left_out, reason)
    wrong = table.loc[~table["probability_1"].between(0, 1), "probability_1"]
    if len(wrong):
        raise InputError(
            f"{given}: probability_1 = {wrong.iloc[0]}: must be from 0 to 1"
        )
    return table


def _columns(given: Path, table: pd.DataFrame, config: MonitorConfig) -> pd.DataFrame:
    """Return the columns of a stream."""
    no_names = pd.Series(pd.NA, index=table.index)
    found = {
        DAY: table[DAY],
        "image": table.get("image", no_names).astype("string"),
        "class_1": table["class_1"].astype("string"),
        **{name: table[name] for name in _NUMBERS},
    }
    if config.label_column in table:
        found[LABEL] = table[config.label_column].astype("string")
    elif config.label_column != MonitorConfig.label_column:
        raise InputError(
            f"{given}: has no column {config.label_column} (monitor.label_column); it "
            f"has {', '.join(map(str, table.columns))}"
        )
    if EMBEDDING in table:
        found[EMBEDDING] = table[EMBEDDING]
    return pd.DataFrame(found).reset_index(drop=True)
