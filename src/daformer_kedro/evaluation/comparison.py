"""Comparison of finished runs: repeats averaged, published results below."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from daformer_kedro.evaluation.intervals import t_interval
from daformer_kedro.evaluation.published import published_for
from daformer_kedro.evaluation.repeats import repeats_by_method

MEASURES = (
    "average_incremental_accuracy",
    "last_accuracy",
    "forgetting",
    "backward_transfer",
)
_PUBLISHED_MEASURES = {
    "average_incremental_accuracy": "average_incremental_top1",
    "last_accuracy": "last_top1",
}


def compare(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate mean and deviation over repeats, best average first, then published.

    Args:
        runs: see :mod:`~daformer_kedro.evaluation.repeats`; of one protocol.

    Returns:
        One row per method: ``method``, ``num_runs`` (missing for published results),
        for each of :data:`MEASURES` its mean **in percent** and ``…_deviation`` (of a
        sample; missing for a single run), ``memory``, ``differs`` (what makes a row
        not directly comparable) and ``source``.

    Raises:
        InputError: see :func:`~daformer_kedro.evaluation.repeats.repeats_by_method`.
    """
    rows = [_own_row(*of_method) for of_method in repeats_by_method(runs).items()]
    own = pd.DataFrame(rows).sort_values(
        "average_incremental_accuracy", ascending=False, kind="stable"
    )
    published = _published_rows(str(runs["protocol"].iloc[0]), runs)
    both = [table for table in (own, published) if not table.empty]
    return pd.concat(both, ignore_index=True).astype({"num_runs": "Int64"})


def as_compared(stored: pd.DataFrame) -> pd.DataFrame:
    """Return a table of :func:`compare` that was stored as CSV as it was before.

    A CSV file knows neither empty texts nor whole numbers of which some are missing.
    """
    differs = ["" if pd.isna(text) else str(text) for text in stored["differs"]]
    return stored.assign(differs=differs).astype({"num_runs": "Int64"})


def mean_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the accuracy after each task over repeats.

    Args:
        runs: see :mod:`~daformer_kedro.evaluation.repeats`; of one protocol.

    Returns:
        One row per method and task: ``method``, ``num_runs``, ``task``,
        ``num_classes_seen``, and as fractions of 1 ``accuracy``, ``deviation`` (of a
        sample) and ``low`` to ``high``, Student's interval of the mean; all but the
        mean are missing for a single run.

    Raises:
        InputError: see :func:`~daformer_kedro.evaluation.repeats.repeats_by_method`.
    """
    tables = []
    for method, group in repeats_by_method(runs).items():
        values = np.array(group["accuracy_after_task"].tolist(), dtype=float)
        low, high = t_interval(values)
        tables.append(
            pd.DataFrame(
                {
                    "method": method,
                    "num_runs": len(group),
                    "task": range(values.shape[1]),
                    "num_classes_seen": group["num_classes_seen"].iloc[0],
                    "accuracy": values.mean(axis=0),
                    "deviation": _deviation(values),
                    "low": low,
                    "high": high,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _own_row(label: str, group: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"method": label, "num_runs": len(group)}
    for measure in MEASURES:
        values = 100 * group[measure].to_numpy(dtype=float)
        row[measure] = values.mean()
        row[f"{measure}_deviation"] = float(_deviation(values[:, None])[0])
    return row | {
        "memory": group["memory"].iloc[0],
        "differs": "",
        "source": "this project",
    }


def _deviation(values: np.ndarray) -> np.ndarray:
    """Return the sample deviation down the rows; missing for a single row."""
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    return values.std(axis=0, ddof=1)


_BACKBONE = "ConViT"
"""The published encoder, as ``backbone`` of the published results names it."""


def _published_rows(protocol: str, runs: pd.DataFrame) -> pd.DataFrame:
    benchmark, _, increments = protocol.partition("_")
    table = published_for(benchmark, increments)
    budgets = set(runs["memory"])
    other_tasks = not _follows(increments, runs)
    rows = []
    for result in table.to_dict("records"):
        is_pretrained = result["pretraining"] != "none"
        network = f"{result['backbone']}, {result['pretraining']}"
        if not is_pretrained:
            network = "" if result["backbone"] == _BACKBONE else result["backbone"]
        differs = [text for text in (network, str(result["note"])) if text]
        if result["memory"] not in budgets:
            differs.insert(0, f"memory of {result['memory']}")
        if other_tasks:
            differs.insert(0, f"tasks of {increments}")
        rows.append(
            {
                "method": result["method"],
                "num_runs": pd.NA,
                **{ours: result[name] for ours, name in _PUBLISHED_MEASURES.items()},
                "memory": result["memory"],
                "differs": "; ".join(differs),
                "source": result["source"],
            }
        )
    return pd.DataFrame(rows)


def _follows(increments: str, runs: pd.DataFrame) -> bool:
    """Return whether the runs have the tasks of a protocol such as ``10-10``."""
    first, _, later = increments.partition("-")
    if not (first.isdecimal() and later.isdecimal()):
        return True
    return all(
        list(seen) == [int(first) + task * int(later) for task in range(len(seen))]
        for seen in runs["num_classes_seen"]
    )
