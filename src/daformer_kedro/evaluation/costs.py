"""Costs of methods: accuracy against time, parameters and stored bytes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from daformer_kedro.evaluation.intervals import t_interval
from daformer_kedro.evaluation.repeats import repeats_by_method

COSTS = (
    "learning_seconds",
    "processor_seconds",
    "num_parameters",
    "parameter_bytes",
    "exemplar_bytes",
    "statistics_bytes",
    "stored_bytes",
)
_HEADS = (
    "Method",
    "Average incremental",
    "Last",
    "Time to learn",
    "Processor time",
    "Device",
    "Parameters",
    "Images kept",
    "Stored in all",
    "Runs",
)
_NOTE = (
    "Times are of the steps that learn; those of other devices or of busy machines "
    "cannot be compared. Stored: parameters at 4 bytes, images kept at a byte per "
    "pixel and channel (Zhou et al., ICLR 2023), and statistics of classifiers in "
    "closed form.\n"
)


def cost_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate means over repeats, the cheapest in stored bytes first.

    Args:
        runs: see :mod:`~daformer_kedro.evaluation.repeats`, with ``device`` and
            :data:`COSTS`, of which any may be missing; of one protocol.

    Returns:
        One row per method: ``method``, ``num_runs``,
        ``average_incremental_accuracy`` and ``last_accuracy`` (in percent) with
        ``…_low`` and ``…_high`` (Student's interval of the mean; missing for a single
        run), ``device`` and :data:`COSTS`.

    Raises:
        InputError: see :func:`~daformer_kedro.evaluation.repeats.repeats_by_method`.
    """
    rows = []
    for method, group in repeats_by_method(runs).items():
        row: dict[str, Any] = {"method": method, "num_runs": len(group)}
        for measure in ("average_incremental_accuracy", "last_accuracy"):
            values = 100 * group[measure].to_numpy(dtype=float)
            row[measure] = values.mean()
            ends = map(float, t_interval(values))
            row[f"{measure}_low"], row[f"{measure}_high"] = ends
        row["device"] = ", ".join(sorted(set(group["device"])))
        rows.append(row | {cost: group[cost].mean() for cost in COSTS})
    table = pd.DataFrame(rows).astype(dict.fromkeys(COSTS, "float64"))
    return table.sort_values("stored_bytes", kind="stable", ignore_index=True)


def costs_to_markdown(table: pd.DataFrame) -> str:
    """Return the costs as a Markdown table.

    Args:
        table: see :func:`cost_table`.
    """
    lines = [list(_HEADS), ["---", *["---:"] * 4, "---", *["---:"] * 4]]
    lines += [_cells(row) for row in table.to_dict("records")]
    text = "".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n"
        for line in lines
    )
    return f"\nCosts:\n\n{text}\n{_NOTE}"


def _cells(row: dict[Hashable, Any]) -> list[str]:
    return [
        str(row["method"]),
        f"{row['average_incremental_accuracy']:.2f}",
        f"{row['last_accuracy']:.2f}",
        in_time(row["learning_seconds"]),
        in_time(row["processor_seconds"]),
        str(row["device"]),
        "–" if pd.isna(row["num_parameters"]) else f"{row['num_parameters']:,.0f}",
        in_bytes(row["exemplar_bytes"]),
        in_bytes(row["stored_bytes"]),
        str(row["num_runs"]),
    ]


def in_time(seconds: float) -> str:
    """Write a duration in the unit that fits; a dash where it is missing."""
    if pd.isna(seconds):
        return "–"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def in_bytes(num_bytes: float) -> str:
    """Write a size in powers of 1000; a dash where it is missing."""
    if pd.isna(num_bytes):
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000 or unit == "GB":
            break
        num_bytes /= 1000
    return f"{num_bytes:.3g} {unit}"
