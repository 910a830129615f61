"""Trials of a study, in their order."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from daformer_kedro.evaluation.figures import style


def study_figure(trials: pd.DataFrame, objective: str) -> Figure:
    """Draw the value of every complete trial, and the best so far.

    Args:
        trials: ``trial``, ``state`` and ``value``, a fraction of 1.
        objective: name of the value.
    """
    figure = style.new_figure(6.8, 4.2)
    axes = figure.add_subplot()
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
        label="pruned, or settings that exclude each other",
    )
    axes.set_ylim(bottom=low)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(
        loc="outside lower left", ncols=3, frameon=False, fontsize=style.TICK_SIZE
    )
    return figure
