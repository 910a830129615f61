"""Means over repeats of several methods, with published results."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.incremental_accuracy import (
    incremental_accuracy_figure,
)


def comparison_figure(curves: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Mean accuracy after each task, with its interval where there are several runs.

    Args:
        curves: see :func:`daformer_kedro.evaluation.comparison.mean_curves`.
        published: the published rows of
            :func:`daformer_kedro.evaluation.comparison.compare`; those that differ in
            tasks, memory or otherwise get a star.
    """
    means, intervals = {}, {}
    for (method, num_runs), rows in curves.groupby(["method", "num_runs"], sort=False):
        label = f"{method}, {num_runs} {'run' if num_runs == 1 else 'runs'}"
        means[label] = rows["accuracy"].tolist()
        if rows["low"].notna().all():
            intervals[label] = (rows["low"].tolist(), rows["high"].tolist())
    first = curves[curves["method"] == curves["method"].iloc[0]]
    starred = published["differs"].astype(str).ne("")
    stars = {True: " *", False: ""}
    marks = pd.DataFrame(
        {
            "method": published["method"].astype(str) + starred.map(stars),
            "memory": published["memory"],
            "last_top1": published["last_accuracy"],
            "average_incremental_top1": published["average_incremental_accuracy"],
        }
    )
    figure = incremental_accuracy_figure(
        means,
        first["num_classes_seen"].tolist(),
        published=None if marks.empty else marks,
        intervals=intervals,
    )
    notes = []
    if intervals:
        notes.append(f"Bands: {style.INTERVALS_OF_MEANS}.")
    if starred.any():
        notes.append("* other memory, tasks or network: see the table.")
    if notes:
        style.head_legend(figure.legends[0], notes)
    return figure
