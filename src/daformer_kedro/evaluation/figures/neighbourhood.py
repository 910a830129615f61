"""Share of nearest neighbours that a task kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from daformer_kedro.evaluation.figures import style


def neighbourhood_preservation_figure(values: Sequence[float | None]) -> Figure:
    """Draw how many of each image's nearest neighbours stayed so, task by task.

    Args:
        values: one share (a fraction of 1) a task, comparing the model after it with
            the one before; ``None`` for the first task, which has no earlier one, and
            where nothing is trained.
    """
    percent = style.to_percent(values)
    tasks = np.arange(len(percent))
    known = ~np.isnan(percent)
    figure = style.new_figure(6.4, 3.4)
    axes = figure.add_subplot()
    style.dress(
        axes,
        "Neighbours kept from the model before",
        "Task",
        "Nearest neighbours kept (%)",
    )
    if not known.any():
        axes.set_xticks([])
        axes.set_yticks([])
        style.write_note(
            axes,
            "One task: there is no earlier model to compare with"
            if len(tasks) == 1
            else "Nothing is trained: neighbours stay as they are",
        )
        return figure

    style.draw_grid(axes)
    axes.plot(
        tasks[known],
        percent[known],
        color=style.COLOURS[0],
        marker=style.MARKERS[0],
        markersize=5 if len(tasks) <= 20 else 3,
        linewidth=1.6,
        clip_on=False,
    )
    axes.set_ylim(0, 100)
    axes.set_xlim(0.5, max(len(tasks) - 0.5, 1.5))
    axes.set_xticks([tick for tick in style.tick_positions(len(tasks)) if tick > 0])
    return figure
