"""Differences between methods with their intervals."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.plain_text import as_lines

_ROW_INCHES = 0.42
_LONGEST_LABEL = 60  # characters
_TITLES = {
    "average_incremental_accuracy": "Average incremental accuracy",
    "last_accuracy": "Last accuracy",
}


def differences_figure(differences: pd.DataFrame) -> Figure:
    """Draw a point and two intervals per difference, the bootstrap's and Student's.

    Args:
        differences: see
            :func:`~daformer_kedro.evaluation.paired_differences.paired_differences`.
    """
    known = differences[differences["num_pairs"] > 0]
    names = known.drop_duplicates(["method", "other"])
    titles = as_lines(names["method"] + " − " + names["other"], _LONGEST_LABEL)
    counts = names["num_pairs"].map(_pairs)
    labels = [f"{t}\n{count}" for t, count in zip(titles, counts, strict=True)]
    height = 1.9 + _ROW_INCHES * max(len(labels), 1)
    figure = style.new_figure(9.6, height)
    axes = figure.subplots(1, len(_TITLES), sharey=True)
    for place, (measure, title) in enumerate(_TITLES.items()):
        style.dress(axes[place], title, "Difference (points)", "")
        _draw(axes[place], known[known["measure"] == measure])
    first = axes[0]
    first.set_yticks(range(len(labels)), labels)
    first.set_ylim(max(len(labels), 1) - 0.5, -0.5)  # the best on top
    if known.empty:
        style.write_note(first, "no two runs to pair")
        return figure
    handles, texts = first.get_legend_handles_labels()
    figure.legend(
        handles,
        texts,
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=style.TICK_SIZE,
    )
    return figure


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    places = range(len(rows))
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    axes.grid(axis="x", color=style.FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.hlines(
        places,
        rows["t_low"].to_numpy(float),
        rows["t_high"].to_numpy(float),
        color=style.COLOURS[5],
        linewidth=1.2,
        label="95 %, Student's t over the pairs",
    )
    axes.hlines(
        places,
        rows["low"].to_numpy(float),
        rows["high"].to_numpy(float),
        color=style.COLOURS[0],
        linewidth=4,
        alpha=0.8,
        label="95 %, bootstrap over pairs and test images",
    )
    axes.plot(
        rows["difference"].to_numpy(float),
        places,
        linestyle="none",
        marker=style.MARKERS[0],
        color=style.INK,
        label="mean",
    )


def _pairs(number: int) -> str:
    return f"{number} {'pair' if number == 1 else 'pairs'}"
