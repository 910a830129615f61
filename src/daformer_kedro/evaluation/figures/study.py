"""Trials of a study, in their order."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from daformer_kedro.evaluation.figures import style


def study_figure(trials: pd.DataFrame, objective: str) -> Figure:
    """Draw the value of every complete trial, and the best so far.

    Args:
        trials: ``trial``, ``state`` and ``value``, a fraction of 1. With
            ``processor_seconds`` and ``on_front`` as well, values are also drawn over
            the time, and a line through the trials that no other beats in both.
        objective: name of the value.
    """
    complete = trials[trials["state"] == "complete"]
    has_time = "on_front" in trials
    figure = style.new_figure(10.4 if has_time else 6.8, 4.2)
    axes = figure.add_subplot(1, 1 + has_time, 1)
    others = trials[trials["state"] != "complete"]
    title = objective.replace("_", " ").capitalize()
    style.dress(axes, f"{title} of trials", "Trial", "On validation images (%)")
    _draw_in_order(axes, complete, others["trial"])
    if has_time:
        _draw_over_time(figure.add_subplot(1, 2, 2, sharey=axes), complete)
    figure.legend(
        loc="outside lower left", ncols=4, frameon=False, fontsize=style.TICK_SIZE
    )
    return figure


def _draw_points(
    axes: Axes, complete: pd.DataFrame, over: str, label: str | None = None
) -> None:
    style.draw_grid(axes)
    axes.plot(
        complete[over],
        _percent(complete),
        linestyle="none",
        marker=style.MARKERS[0],
        color=style.COLOURS[0],
        label=label,
    )


def _percent(trials: pd.DataFrame) -> pd.Series:
    return 100 * trials["value"].astype(float)


def _draw_in_order(axes: Axes, complete: pd.DataFrame, others: pd.Series) -> None:
    _draw_points(axes, complete, "trial", label="complete")
    axes.step(
        complete["trial"],
        _percent(complete).cummax(),
        where="post",
        color=style.COLOURS[1],
        linewidth=1.8,
        label="best so far",
    )
    low, _ = axes.get_ylim()
    axes.plot(
        others,
        [low] * len(others),
        linestyle="none",
        marker="|",
        color=style.MUTED,
        clip_on=False,
        label="pruned or failed",
    )
    axes.set_ylim(bottom=low)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_over_time(axes: Axes, complete: pd.DataFrame) -> None:
    style.dress(axes, "And their processor time", "Processor time (s)", "")
    _draw_points(axes, complete, "processor_seconds")
    front = complete[complete["on_front"]].sort_values("processor_seconds")
    axes.step(
        front["processor_seconds"],
        _percent(front),
        where="post",
        marker=style.MARKERS[1],
        color=style.COLOURS[2],
        label="no other is better in both",
    )
