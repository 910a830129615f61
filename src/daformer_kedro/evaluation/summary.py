"""Summary table that a run prints at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from daformer_kedro.evaluation.percent import percent

_ROWS_PER_BLOCK = 10
_GAP = " " * 5
_SHOWN_DIFFERENCE = 0.005
"""Between accuracy and balanced accuracy, for both to be printed: classes of unequal
numbers of test images make one."""


def summary_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate one row per task, accuracies as fractions of 1.

    Args:
        metrics: what :func:`daformer_kedro.evaluation.metrics.summarise` returns.

    Returns:
        The columns ``task``, ``num_classes_seen``, ``accuracy`` (on all classes
        seen), ``top5_accuracy`` (missing with fewer than 6 classes),
        ``num_exemplars`` and ``num_parameters``.
    """
    after_task = metrics["accuracy_after_task"]
    return pd.DataFrame(
        {
            "task": range(len(after_task)),
            "num_classes_seen": metrics["num_classes_seen"],
            "accuracy": after_task,
            "top5_accuracy": pd.array(
                metrics["top5_accuracy_after_task"], dtype="Float64"
            ),
            "num_exemplars": metrics["num_exemplars"],
            "num_parameters": metrics["num_parameters"],
        }
    )


def format_summary(
    metrics: Mapping[str, Any], width: int = 80, *, on_validation: bool = False
) -> str:
    """Format the results as plain text, in percent with two decimals as in papers.

    Many tasks are split into several blocks side by side, read downwards, as far as
    they fit into the width.

    Args:
        metrics: what :func:`daformer_kedro.evaluation.metrics.summarise` returns.
        width: columns of the terminal.
        on_validation: whether the images were held out of the training set.

    Returns:
        Lines joined by newlines, none longer than ``width`` (from 43 on).
    """
    where = ", validation images" if on_validation else ""
    lines = [f"Accuracy on all classes seen (%){where}", ""]
    lines += _side_by_side(_task_lines(summary_table(metrics)), width)
    average = percent(metrics["average_incremental_accuracy"])
    lines.append("")
    lines.append(f"Average incremental accuracy {average:>7} %")
    lines.append(
        f"Last accuracy                {percent(metrics['last_accuracy']):>7} %"
    )
    balanced = metrics["last_balanced_accuracy"]
    if abs(balanced - metrics["last_accuracy"]) >= _SHOWN_DIFFERENCE:
        lines.append(f"Last balanced accuracy       {percent(balanced):>7} %")
    for name, key in (
        ("Forgetting", "forgetting"),
        ("Backward transfer", "backward_transfer"),
    ):
        if metrics[key] is not None:
            lines.append(f"{name:<28} {percent(metrics[key]):>7} points")
    cuts = metrics.get("trainings_cut_by_time", [])
    if any(cuts):
        num_cut = sum(map(bool, cuts))
        lines.append(f"Cut by training.max_minutes: {num_cut} of {len(cuts)} tasks")
    return "\n".join(lines)


def _task_lines(table: pd.DataFrame) -> list[str]:
    """Return a header and one line per task, all of one length."""
    has_top5 = bool(table["top5_accuracy"].notna().any())
    lines = ["task  classes  accuracy" + ("    top-5" if has_top5 else "")]
    for task, classes, accuracy, top5 in zip(
        table["task"],
        table["num_classes_seen"],
        table["accuracy"],
        table["top5_accuracy"],
        strict=True,
    ):
        line = f"{task:>4}  {classes:>7}  {percent(accuracy):>8}"
        if has_top5:
            line += f"  {percent(None if top5 is pd.NA else top5):>7}"
        lines.append(line)
    return lines


def _side_by_side(lines: list[str], width: int) -> list[str]:
    """Break the rows below the header into blocks that share the width."""
    header, rows = lines[0], lines[1:]
    fitting = max(1, (width + len(_GAP)) // (len(header) + len(_GAP)))
    num_blocks = min(fitting, math.ceil(len(rows) / _ROWS_PER_BLOCK))
    height = math.ceil(len(rows) / num_blocks)
    blocks = [rows[i : i + height] for i in range(0, len(rows), height)]
    printed = [_GAP.join([header] * len(blocks))]
    for i in range(height):
        printed.append(_GAP.join(block[i] for block in blocks if i < len(block)))
    return printed
