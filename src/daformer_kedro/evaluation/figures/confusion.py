"""Confusion matrix of the last task, in the order in which classes arrived."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.plain_text import as_lines

_MOST_NAMED = 24
_MOST_ANNOTATED = 10
_MANY_TASKS = 20


def confusion_matrix_figure(
    predictions: pd.DataFrame,
    task_sizes: Sequence[int],
    class_names: Sequence[str],
) -> Figure:
    """Share of each class's images (rows) given to each class (columns).

    The colour scale follows the square root, so that rare confusions can be seen;
    the borders between tasks are drawn in white.

    Args:
        predictions: columns ``target`` and ``predicted``, classes numbered in the
            order of their arrival.
        task_sizes: number of classes of each task seen.
        class_names: their names, in order of arrival.

    Raises:
        InputError: the names do not match the sizes, or a row holds another class.
    """
    num_classes = sum(task_sizes)
    if len(class_names) != num_classes:
        raise InputError(
            f"class_names has {len(class_names)} names: must be {num_classes}, "
            "the sum of task_sizes"
        )
    percent = _row_percent(predictions, num_classes)
    side = float(np.clip(2.6 + 0.4 * num_classes, 4.2, 7.2))
    figure = style.new_figure(side + 1.0, side)
    axes = figure.add_subplot()
    axes.set_facecolor(style.FAINT)
    image = axes.imshow(percent, cmap=style.HEAT_MAP, norm=PowerNorm(0.5, 0, 100))
    style.dress(axes, "Confusion of classes", "Predicted class", "True class")
    axes.spines[:].set_visible(False)
    _draw_borders(axes, task_sizes)
    if num_classes <= _MOST_NAMED:
        _name_classes(axes, class_names)
    else:
        _name_tasks(axes, task_sizes)
    if num_classes <= _MOST_ANNOTATED:
        style.write_values(axes, image, np.where(percent > 0, percent, np.nan))
    style.add_scale(
        figure,
        image,
        axes,
        "Share of the class's images (%), square-root scale",
        shrink=0.85,
        ticks=[0, 1, 5, 20, 50, 100],
    )
    return figure


def _row_percent(predictions: pd.DataFrame, num_classes: int) -> NDArray[np.float64]:
    """(C, C) percent of each row; a class without images is NaN."""
    target = predictions["target"].to_numpy(dtype=np.int64)
    predicted = predictions["predicted"].to_numpy(dtype=np.int64)
    for name, values in (("target", target), ("predicted", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise InputError(
                f"predictions has {name} from {values.min()} to {values.max()}: "
                f"must be within 0 and {num_classes - 1}"
            )
    counts = np.bincount(target * num_classes + predicted, minlength=num_classes**2)
    counts = counts.reshape(num_classes, num_classes)
    totals = counts.sum(axis=1, keepdims=True)
    percent = np.full(counts.shape, np.nan)
    np.divide(100.0 * counts, totals, out=percent, where=totals > 0)
    return percent


def _draw_borders(axes: Axes, task_sizes: Sequence[int]) -> None:
    few = len(task_sizes) <= _MANY_TASKS
    width, alpha = (1.2, 1.0) if few else (0.5, 0.3)
    for border in np.cumsum(task_sizes)[:-1] - 0.5:
        axes.axvline(border, color="white", linewidth=width, alpha=alpha)
        axes.axhline(border, color="white", linewidth=width, alpha=alpha)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    ticks = range(len(names))
    labels = as_lines(names)
    axes.set_xticks(
        ticks, labels=labels, rotation=45, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(ticks, labels=labels)


def _name_tasks(axes: Axes, task_sizes: Sequence[int]) -> None:
    ends = np.cumsum(task_sizes)
    centres = ends - np.asarray(task_sizes) / 2 - 0.5
    tasks = style.tick_positions(len(task_sizes))
    axes.set_xticks(centres[tasks], labels=map(str, tasks))
    axes.set_yticks(centres[tasks], labels=map(str, tasks))
    axes.set_xlabel("Predicted class, by task", fontsize=style.LABEL_SIZE)
    axes.set_ylabel("True class, by task", fontsize=style.LABEL_SIZE)
