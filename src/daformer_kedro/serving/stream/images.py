"""Streams of image files: their days and labels are in their folders' names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from daformer_kedro.config import MonitorConfig
from daformer_kedro.errors import InputError
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.image_paths import find_images, shown
from daformer_kedro.serving.prediction import predict_files
from daformer_kedro.serving.stream.days import (
    DAY,
    LABEL,
    Stream,
    period_of,
    refuse_empty,
    wanted,
)

_DATE_LIKE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


def stream_of_images(
    folder: Path, classifier: Classifier, config: MonitorConfig
) -> Stream:
    """Classify the images of a folder, those in folders below too.

    Folders named ``YYYY-MM-DD`` directly below it are the days. Without any, the day of
    an image is that of its modification time, on this machine's clock. Where folders
    below (of a day, if there are days) are named like classes, they are the labels.

    Args:
        folder: where to look.
        classifier: the model.
        config: first and last day, period, batch size.

    Raises:
        InputError: there is no image in it, or a folder's name looks like a date and is
            none.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(
            f"{shown(folder)}: is not a folder of images, a table of predictions "
            "(.csv, .parquet) or a request log (.jsonl)"
        )
    paths = find_images(folder)
    parts = [path.relative_to(folder).parts for path in paths]
    left_out: Counter[str] = Counter()
    if any(_DATE_LIKE.fullmatch(names[0]) for names in parts):
        days = [_day_of_folder(folder, names) for names in parts]
        inner = [names[1:-1] for names in parts]
        _count(left_out, "not in a folder of a day", days.count(None))
    else:
        days = [_day_modified(path) for path in paths]
        inner = [names[:-1] for names in parts]
        _count(left_out, "could not be read", days.count(None))
    rows = [row for row, is_one in enumerate(wanted(days, config)) if is_one]
    refuse_empty(shown(folder), len(rows), left_out, config)
    table = predict_files(
        classifier,
        [paths[row] for row in rows],
        config.batch_size,
        with_embeddings=True,
    )
    named = [(row, days[row]) for row in rows]
    table.insert(0, DAY, [period_of(day, config) for _, day in named if day])
    labels = _labels([inner[row] for row in rows], classifier.class_names)
    if labels is not None:
        table[LABEL] = pd.array(labels, dtype="string")
    is_bad = table["error"].notna()
    _count(left_out, "could not be read", int(is_bad.sum()))
    table = table[~is_bad].drop(columns="error").reset_index(drop=True)
    refuse_empty(shown(folder), len(table), left_out, config)
    return Stream(table, left_out)


def _count(left_out: Counter[str], reason: str, number: int) -> None:
    if number:
        left_out[reason] += number


def _day_of_folder(folder: Path, names: Sequence[str]) -> date | None:
    name = names[0]
    if len(names) < 2 or not _DATE_LIKE.fullmatch(name):
        return None
    try:
        return date.fromisoformat(name)
    except ValueError as error:
        raise InputError(
            f"{shown(folder / name)}: is not a date; days are folders such as "
            "2026-11-24"
        ) from error


def _day_modified(path: Path) -> date | None:
    try:
        return datetime.fromtimestamp(os.stat(path).st_mtime).date()
    except (OSError, ValueError, OverflowError):
        return None


def _labels(
    folders: Sequence[tuple[str, ...]], class_names: Collection[str]
) -> list[str | None] | None:
    """Labels by the first folder; ``None`` where no folder is named like a class."""
    names = [inner[0] if inner else None for inner in folders]
    return names if set(names) & set(class_names) else None
