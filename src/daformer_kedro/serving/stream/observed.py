"""Streams as arrays by day, in the classes of a model."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daformer_kedro.errors import InputError, did_you_mean
from daformer_kedro.evaluation.monitoring.observations import UNLABELLED, Observations
from daformer_kedro.serving.prediction import EMBEDDING
from daformer_kedro.serving.stream.days import DAY, LABEL


def observed_days(
    table: pd.DataFrame, class_names: Sequence[str], name: str
) -> dict[str, Observations]:
    """Return the images of each day, by its name, in order.

    Args:
        table: of a :class:`~daformer_kedro.serving.stream.days.Stream`.
        class_names: of the model, in class order.
        name: of the stream, for messages.

    Raises:
        InputError: see :func:`observations_of`.
    """
    observed = observations_of(table, class_names, name)
    days = table[DAY].to_numpy()
    return {str(day): observed.select(days == day) for day in sorted(set(days))}


def observations_of(
    table: pd.DataFrame, class_names: Sequence[str], name: str
) -> Observations:
    """Return the images of a stream, whatever their day.

    Raises:
        InputError: a predicted class is not one of the model's, or embeddings are not
            lists of equally many numbers.
    """
    position = {name: number for number, name in enumerate(class_names)}
    named = _as_named(table["class_1"], class_names)
    predicted = named.map(position)
    if predicted.isna().any():
        other = str(named[predicted.isna()].iloc[0])
        raise InputError(
            f"{name}: class_1 = {other!r} is not a class of the model."
            f"{did_you_mean(other, class_names)} Name the model that made these "
            "predictions: monitor.model"
        )
    targets = None
    if LABEL in table:
        labels = _as_named(table[LABEL], class_names)
        found = labels.map(position).fillna(UNLABELLED)
        targets = np.asarray(found, dtype=np.int64)
    return Observations(
        np.asarray(predicted, dtype=np.int64),
        table["probability_1"].to_numpy(np.float64),
        table["unknown_score"].to_numpy(np.float64),
        _embeddings(table, name),
        targets,
    )


def labels_not_learnt(table: pd.DataFrame, class_names: Sequence[str]) -> Counter[str]:
    """Count the images of classes that the model has not learnt, by label."""
    if LABEL not in table:
        return Counter()
    labels = _as_named(table[LABEL], class_names).dropna()
    return Counter(labels[~labels.isin(list(class_names))].tolist())


def _as_named(column: pd.Series, class_names: Sequence[str]) -> pd.Series:
    """Return names as the model has them.

    Where a cell is empty, pandas and spreadsheets make 7.0 of a class named 7.
    """
    names = column.dropna()
    is_whole = names.str.fullmatch(r"\d+\.0").all()
    if is_whole and not names.isin(list(class_names)).all():
        return column.str.removesuffix(".0")
    return column


def _embeddings(table: pd.DataFrame, name: str) -> NDArray[np.float32] | None:
    """Return embeddings (N, E); ``None`` where some image has none."""
    if EMBEDDING not in table or any(_is_missing(v) for v in table[EMBEDDING]):
        return None
    try:
        found = np.array([_numbers(value) for value in table[EMBEDDING]], np.float32)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InputError(
            f"{name}: embedding must hold equally many numbers in each row, or float16 "
            f"in base64: {error}"
        ) from error
    if found.ndim != 2 or not np.isfinite(found).all():
        raise InputError(f"{name}: embedding must hold lists of finite numbers")
    return found


def _is_missing(value: Any) -> bool:
    return value is None or (np.ndim(value) == 0 and pd.isna(value))


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), np.dtype("<f2"))
    return value
