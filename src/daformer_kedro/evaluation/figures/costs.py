"""Accuracy against what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import NDArray

from daformer_kedro.evaluation.costs import in_bytes, in_time
from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.plain_text import as_lines

_MEASURE = "average_incremental_accuracy"
_PANELS = {
    "learning_seconds": "Time to learn",
    "num_parameters": "Parameters",
    "stored_bytes": "Stored bytes",
}
_UNITS: dict[str, Callable[[float], str]] = {
    "learning_seconds": in_time,
    "num_parameters": EngFormatter(sep=""),
    "stored_bytes": in_bytes,
}
_LONGEST_LABEL = 60  # characters
_MOST_TICKS = 4


def costs_figure(table: pd.DataFrame) -> Figure:
    """Draw average incremental accuracy against time, parameters and stored bytes.

    Args:
        table: see :func:`daformer_kedro.evaluation.costs.cost_table`; bars are its
            intervals, and what is missing is left out.
    """
    figure = style.new_figure(10.2, 3.6 + 0.2 * ((len(table) + 1) // 2))
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    labels = as_lines(table["method"], _LONGEST_LABEL)
    handles = []
    for panel, (column, title) in zip(axes, _PANELS.items(), strict=True):
        style.dress(panel, title, "", "")
        style.draw_grid(panel)
        _use_log_scale(panel, table[column].dropna().to_numpy(float), column)
        handles = [
            panel.errorbar(
                row[column],
                row[_MEASURE],
                yerr=_reach(row),
                color=style.COLOURS[index % len(style.COLOURS)],
                marker=style.MARKERS[index % len(style.MARKERS)],
                linestyle="none",
                capsize=3,
            )
            for index, row in enumerate(table.to_dict("records"))
        ]
        if table[column].isna().all():
            style.write_note(panel, "not recorded")
    axes[0].set_ylabel(
        "Average incremental accuracy (%)", fontsize=style.LABEL_SIZE, color=style.INK
    )
    bottom, top = axes[0].get_ylim()
    axes[0].set_ylim(max(bottom, 0), min(top, 100))
    legend = figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=2,
        frameon=False,
        fontsize=style.TICK_SIZE,
    )
    if table[f"{_MEASURE}_low"].notna().any():
        style.head_legend(legend, [f"Bars: {style.INTERVALS_OF_MEANS}."])
    return figure


def _reach(row: Mapping[Hashable, Any]) -> list[list[float]]:
    """Return how far the interval reaches to either side of the mean."""
    mean = row[_MEASURE]
    return [[mean - row[f"{_MEASURE}_low"]], [row[f"{_MEASURE}_high"] - mean]]


def _use_log_scale(axes: Axes, values: NDArray[np.float64], column: str) -> None:
    """Leave half a decade on either side, so that there is a tick on the axis."""
    axes.set_xscale("log")
    unit = _UNITS[column]
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: unit(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    positive = values[values > 0]
    if positive.size:
        axes.set_xlim(positive.min() / 3, positive.max() * 3)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(*axes.get_xlim())))


def _ticks(low: float, high: float) -> list[float]:
    """Return two to four round numbers between two that are a decade or more apart.

    Matplotlib's own locator writes a label at every tenth of so short an axis.
    """
    ticks: list[float] = []
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) > 2:
            break
    return ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]
