"""Heat map of the accuracy matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.plain_text import as_lines

_MOST_ANNOTATED = 12
_SHORT_NAME = 3


def accuracy_matrix_figure(
    matrix: Sequence[Sequence[float | None]], task_names: Sequence[str]
) -> Figure:
    """Accuracy on each task's classes (columns) after each task (rows).

    Args:
        matrix: T rows of up to T fractions of 1; ``None`` or a missing entry is left
            blank.
        task_names: T names for the ticks, in order.

    Raises:
        InputError: the number of names is not the number of rows.
    """
    num_tasks = len(matrix)
    if len(task_names) != num_tasks:
        raise InputError(
            f"task_names has {len(task_names)} names: must be {num_tasks}, one per task"
        )
    percent = np.full((num_tasks, num_tasks), np.nan)
    for row, values in enumerate(matrix):
        percent[row, : len(values)] = style.to_percent(values)

    side = float(np.clip(2.2 + 0.45 * num_tasks, 3.6, 6.4))
    figure = style.new_figure(side + 1.1, side)
    axes = figure.add_subplot()
    image = axes.imshow(percent, cmap=style.HEAT_MAP, vmin=0, vmax=100)
    style.dress(axes, "Accuracy on each task", "Classes of task", "After task")
    axes.spines[:].set_visible(False)
    _name_tasks(axes, task_names)
    if num_tasks <= _MOST_ANNOTATED:
        style.write_values(axes, image, percent)
    style.add_scale(figure, image, axes, "Accuracy (%)", shrink=0.85)
    return figure


def _name_tasks(axes: Axes, names: Sequence[str]) -> None:
    ticks = style.tick_positions(len(names))
    shown = as_lines(names[tick] for tick in ticks)
    long = max(map(len, shown), default=0) > _SHORT_NAME and len(shown) > 2
    axes.set_xticks(
        ticks,
        labels=shown,
        rotation=45 if long else 0,
        ha="right" if long else "center",
        rotation_mode="anchor" if long else "default",
    )
    axes.set_yticks(ticks, labels=shown)
