"""Forgetting of each task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.metrics import forgetting, forgetting_per_task


def forgetting_figure(matrix: Sequence[Sequence[float | None]]) -> Figure:
    """Bars of the forgetting of each task but the last, with their mean.

    Args:
        matrix: the accuracy matrix, as fractions of 1.

    Raises:
        InputError: the matrix is not lower triangular and square.
    """
    losses = style.to_percent(forgetting_per_task(matrix))
    mean = forgetting(matrix)
    figure = style.new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    style.dress(
        axes,
        "Forgetting of each task",
        "Task",
        "Best earlier accuracy − last (points)",
    )
    if mean is None:
        axes.set_xticks([])
        axes.set_yticks([])
        style.write_note(axes, "One task: there is nothing to forget yet")
    else:
        _draw_bars(axes, losses, 100 * mean)
    return figure


def _draw_bars(axes: Axes, losses: NDArray[np.float64], mean: float) -> None:
    """Points lost, and their mean."""
    style.draw_grid(axes)
    positions = np.arange(len(losses))
    axes.bar(positions, np.nan_to_num(losses), width=0.8, color=style.COLOURS[0])
    axes.axhline(0, color=style.INK, linewidth=0.8)
    axes.axhline(
        mean,
        color=style.COLOURS[1],
        linewidth=1.6,
        linestyle="--",
        label=f"mean {mean:.1f} points",
    )
    edge = 0.6 if len(losses) > 1 else 1.5
    axes.set_xlim(-edge, len(losses) - 1 + edge)
    axes.set_xticks(style.tick_positions(len(losses)))
    # Above the axes, where no bar can be.
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize=style.TICK_SIZE,
        borderaxespad=0.2,
    )
