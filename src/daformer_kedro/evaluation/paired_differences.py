"""Differences between methods over the same class orders and seeds.

A *pair* is a run of either method with the same class order and seed, tested on the
same images. Two things are left to chance: which orders and seeds were run, and which
images the test set holds. Intervals are of a bootstrap over both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daformer_kedro.evaluation.intervals import (
    bootstrap_interval,
    pairs_needed,
    t_interval,
)
from daformer_kedro.evaluation.repeats import (
    is_on_validation_images,
    repeats_by_method,
)

COMPARED = ("average_incremental_accuracy", "last_accuracy")
"""Measures that are differences of sums over test images."""

_TOLERANCE = 1e-6
_IMAGES = ("name", "dataset", "classes", "test_fraction", "split_seed")
"""Settings of ``source`` that say which images a run is tested on."""

Predictions = Mapping[str, Sequence[pd.DataFrame]]
"""Tables of predictions after each task, by run key."""


def paired_differences(runs: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Compare every method with every one below it, pair by pair.

    Args:
        runs: see :mod:`~daformer_kedro.evaluation.repeats`; of one protocol.
        predictions: after each task, by run key; runs that have none are resampled as
            a whole.

    Returns:
        One row per two methods and each of :data:`COMPARED`, the better first:
        ``method``, ``other``, ``measure``, ``num_pairs``, ``difference`` (mean, in
        points), ``low`` and ``high`` (bootstrap over runs and images), ``num_images``
        (missing where runs alone were resampled), ``t_low`` and ``t_high`` (Student's
        t over the pairs, the images fixed) and ``pairs_for_one_point``, see
        :func:`~daformer_kedro.evaluation.intervals.pairs_needed`. What cannot be worked
        out is missing.

    Raises:
        InputError: see :func:`~daformer_kedro.evaluation.repeats.repeats_by_method`.
    """
    methods = sorted(
        repeats_by_method(runs).items(),
        key=lambda method: -method[1]["average_incremental_accuracy"].mean(),
    )
    rows = []
    for (label, own), (other_label, other) in combinations(methods, 2):
        names = {"method": label, "other": other_label}
        rows += [names | found for found in _compare(own, other, predictions)]
    columns = ["method", "other", "measure", "num_pairs", "difference", "low", "high"]
    columns += ["num_images", "t_low", "t_high", "pairs_for_one_point"]
    table = pd.DataFrame(rows, columns=columns)
    whole = ("num_pairs", "num_images", "pairs_for_one_point")
    return table.astype(dict.fromkeys(whole, "Int64"))


def _compare(
    own: pd.DataFrame, other: pd.DataFrame, predictions: Predictions
) -> list[dict[str, Any]]:
    """Compare two methods; one row per measure."""
    pairs = own.merge(other, on=["class_order", "seed"], suffixes=("", "_other"))
    same = [_tests_on_same_images(pair) for pair in pairs.to_dict("records")]
    pairs = pairs[np.array(same, dtype=bool)]
    return [_row(measure, pairs, predictions) for measure in COMPARED]


def _tests_on_same_images(pair: Mapping[Any, Any]) -> bool:
    own, other = pair["settings"], pair["settings_other"]
    on_validation = is_on_validation_images(own)
    if on_validation != is_on_validation_images(other):
        return False
    names = [f"source.{name}" for name in _IMAGES]
    if on_validation:
        names.append("source.validation_fraction")
    digests = [pair.get(f"test_images{suffix}") for suffix in ("", "_other")]
    if all(isinstance(digest, str) for digest in digests):
        if digests[0] != digests[1]:
            return False
    else:  # such as of runs that reused stored features
        names.append("source.path")
    return all(own[n] == other[n] for n in names if n in own and n in other)


def _row(measure: str, pairs: pd.DataFrame, predictions: Predictions) -> dict[str, Any]:
    row: dict[str, Any] = {"measure": measure, "num_pairs": len(pairs)}
    if pairs.empty:
        return row
    values = 100 * (pairs[measure] - pairs[f"{measure}_other"]).to_numpy(dtype=float)
    row["difference"] = values.mean()
    found = _image_differences(measure, pairs, predictions)
    if found is not None:
        row["num_images"] = len(found[1])
    by_image, strata = found or (values[:, None], None)
    interval = bootstrap_interval(by_image, strata)
    if interval is not None:
        row["low"], row["high"] = interval
    if len(values) > 1:
        row["t_low"], row["t_high"] = map(float, t_interval(values))
        row["pairs_for_one_point"] = pairs_needed(values.std(ddof=1))
    return row


def _image_differences(
    measure: str, pairs: pd.DataFrame, predictions: Predictions
) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Return what each image adds to each difference, in points, and its class.

    Returns:
        ``None`` where a run has no predictions, other ones than those that its
        accuracy was measured with, or other images than the first.
    """
    rows = []
    classes: pd.Series | None = None
    for pair in pairs.to_dict("records"):
        parts = []
        for suffix in ("", "_other"):
            tables = predictions.get(str(pair[f"run_key{suffix}"]))
            if not tables:
                return None
            part = image_scores(measure, tables)
            if abs(part.sum() - pair[f"{measure}{suffix}"]) > _TOLERANCE:
                return None
            if classes is None:
                classes = tables[-1].set_index("sample_index")["target"].sort_index()
            parts.append(part)
            if not part.index.equals(classes.index):
                return None
        rows.append(100 * (parts[0] - parts[1]).to_numpy(dtype=float))
    assert classes is not None
    return np.stack(rows), classes.to_numpy(dtype=np.int64)


def image_scores(measure: str, tables: Sequence[pd.DataFrame]) -> pd.Series:
    """Divide an accuracy among the test images: what each adds to it.

    Args:
        measure: one of :data:`COMPARED`.
        tables: predictions after each task.

    Returns:
        By ``sample_index``, rising; the sum is the accuracy, as a fraction of 1.
    """
    used = tables[-1:] if measure == "last_accuracy" else tables
    parts = [
        (table["predicted"] == table["target"]).set_axis(table["sample_index"])
        / (len(table) * len(used))
        for table in used
    ]
    return pd.concat(parts).groupby(level=0).sum()
