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
    _draw_in_order(axes, trials, objective)
    if has_time:
        _draw_over_time(figure.add_subplot(1, 2, 2, sharey=axes), complete)
    figure.legend(
        loc="outside lower left", ncols=4, frameon=False, fontsize=style.TICK_SIZE
    )
    return figure


def _draw_in_order(axes: Axes, trials: pd.DataFrame, objective: str) -> None:
    title = objective.replace("_", " ").capitalize()
    style.dress(axes, f"{title} of trials", "Trial", "On validation images (%)")
    style.draw_grid(axes)
    complete = trials[trials["state"] == "complete"]
    numbers, values = complete["trial"], 100 * complete["value"].astype(float)
    axes.plot(
        numbers,
        values,
        linestyle="none",
        marker=style.MARKERS[0],
        color=style.COLOURS[0],
        label="complete",
    )
    axes.step(
        numbers,
        values.cummax(),
        where="post",
        color=style.COLOURS[1],
        linewidth=1.8,
        label="best so far",
    )
    others = trials[trials["state"] != "complete"]
    low, _ = axes.get_ylim()
    axes.plot(
        others["trial"],
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
    style.draw_grid(axes)
    axes.plot(
        complete["processor_seconds"],
        100 * complete["value"].astype(float),
        linestyle="none",
        marker=style.MARKERS[0],
        color=style.COLOURS[0],
    )
    front = complete[complete["on_front"]].sort_values("processor_seconds")
    axes.step(
        front["processor_seconds"],
        100 * front["value"].astype(float),
        where="post",
        marker=style.MARKERS[1],
        color=style.COLOURS[2],
        label="no other is better in both",
    )
