"""A stream by day: unknown images, confidence, class mix, accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daformer_kedro.evaluation.figures import style

_PANEL_INCHES = 2.1
_Panel = Callable[[Axes, pd.DataFrame, Any], None]


def monitoring_figure(table: pd.DataFrame, period: str = "day") -> Figure:
    """Draw every day of a stream, with those that differ shaded.

    Args:
        table: of :func:`~daformer_kedro.evaluation.monitoring.days.measure_days`.
        period: what a row is: day, week or month.
    """
    panels: list[_Panel] = [_unknown, _confidence, _class_mix]
    if table["accuracy"].notna().any():
        panels.append(_accuracy)
    figure = style.new_figure(7.2, _PANEL_INCHES * len(panels) + 0.9)
    every = np.arange(len(table))
    drawn = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    for axes, panel in zip(drawn, panels, strict=True):
        panel(axes, table, every)
        style.draw_grid(axes)
        for place in every[table["differs"].to_numpy(bool)]:
            axes.axvspan(
                place - 0.5, place + 0.5, color=style.COLOURS[4], alpha=0.25, lw=0
            )
        axes.legend(
            frameon=False,
            fontsize=style.TICK_SIZE,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )
    last = drawn[-1]
    ticks = style.tick_positions(len(table))
    last.set_xticks(ticks, [table["day"].iloc[i] for i in ticks], rotation=45)
    for label in last.get_xticklabels():
        label.set_horizontalalignment("right")
    last.set_xlim(-0.5, len(table) - 0.5)
    begins = {"day": "Day", "week": "Week from", "month": "Month from"}[period]
    last.set_xlabel(
        f"{begins} (shaded: differs)", fontsize=style.LABEL_SIZE, color=style.INK
    )
    return figure


def _line(axes: Axes, x: Any, y: pd.Series, label: str, number: int) -> None:
    axes.plot(
        x,
        y.astype(float),
        label=label,
        color=style.COLOURS[number],
        marker=style.MARKERS[number],
        markersize=4,
        linewidth=1.6,
    )


def _expected(axes: Axes, x: Any, y: pd.Series) -> None:
    axes.plot(
        x, y.astype(float), label="expected", color=style.MUTED, linestyle="--", lw=1.2
    )


def _unknown(axes: Axes, table: pd.DataFrame, x: Any) -> None:
    style.dress(axes, "Unknown images", "", "Share (%)")
    _line(axes, x, 100 * table["share_unknown"], "share", 1)
    _expected(axes, x, 100 * table["expected_unknown"])
    axes.set_ylim(bottom=0)


def _confidence(axes: Axes, table: pd.DataFrame, x: Any) -> None:
    style.dress(axes, "Confidence", "", "Probability (%)")
    low, high = (100 * table[f"confidence_{q}"] for q in ("q10", "q90"))
    axes.errorbar(
        x,
        50 * (low + high) / 100,
        yerr=50 * (high - low) / 100,
        linestyle="none",
        color=style.COLOURS[5],
        linewidth=4,
        alpha=0.6,
        label="10 to 90 %",
    )
    _line(axes, x, 100 * table["confidence_mean"], "mean", 0)
    axes.set_ylim(0, 102)


def _class_mix(axes: Axes, table: pd.DataFrame, x: Any) -> None:
    style.dress(axes, "Mix of predicted classes", "", "Distance (0 to 1)")
    if table["training_mix_distance"].notna().any():
        _line(axes, x, table["training_mix_distance"], "to training", 2)
    _line(axes, x, table["reference_mix_distance"], "to reference", 3)
    axes.set_ylim(0, 1)


def _accuracy(axes: Axes, table: pd.DataFrame, x: Any) -> None:
    style.dress(axes, "Accuracy of labelled images", "", "Accuracy (%)")
    _line(axes, x, 100 * table["accuracy"], "accuracy", 0)
    _expected(axes, x, 100 * table["expected_accuracy"])
    axes.set_ylim(0, 102)
