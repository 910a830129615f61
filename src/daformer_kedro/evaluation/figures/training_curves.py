"""Loss terms and learning rate over the epochs of all tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style

_REQUIRED = ("task", "phase", "learning_rate", "loss")
_FINETUNING = "finetuning"
_FEW_EPOCHS = 40
_MANY_EPOCHS = 2000
_MANY_TASKS = 20


def training_curves_figure(history: pd.DataFrame) -> Figure:
    """Total loss, its terms, and the learning rate, with borders between tasks.

    Epochs are counted on through all tasks; finetuning has a grey ground.

    Args:
        history: one row per epoch in the order of training, with the columns
            ``task``, ``phase`` (``train`` or ``finetune``), ``learning_rate``,
            ``loss`` and any number of ``loss_<term>`` (missing where a term is not
            in use).

    Raises:
        InputError: a column is missing, or the table is empty.
    """
    missing = [name for name in _REQUIRED if name not in history.columns]
    if missing or history.empty:
        raise InputError(
            f"history has {len(history)} rows and the columns "
            f"{list(history.columns)}: needs a row and {list(_REQUIRED)}"
        )
    figure = style.new_figure(9.0, 5.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    segments = _segments(history)
    _shade_finetuning(top, bottom, segments)
    _draw_task_borders(top, bottom, segments)
    style.dress(top, "Training", "", "Loss (mean of an epoch)", title_pad=18)
    style.dress(bottom, "", "Epoch, through all tasks", "Learning rate")
    _draw_losses(top, history, segments)
    _draw(bottom, history["learning_rate"], segments, "learning rate", style.INK)
    bottom.set_ylim(bottom=0)
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    bottom.yaxis.get_offset_text().set_fontsize(style.TICK_SIZE)
    bottom.set_xlim(0.5, len(history) + 0.5)
    bottom.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    for axes in (top, bottom):
        style.draw_grid(axes)
    return figure


_Segment = tuple[int, str, int, int]
"""Task, phase, and the rows [start, stop) of one phase of one task."""


def _segments(history: pd.DataFrame) -> list[_Segment]:
    phases = history[["task", "phase"]].reset_index(drop=True)
    starts = np.flatnonzero((phases != phases.shift()).any(axis=1))
    stops = [*starts[1:], len(phases)]
    return [
        (int(phases["task"][start]), str(phases["phase"][start]), int(start), int(stop))
        for start, stop in zip(starts, stops, strict=True)
    ]


def _shade_finetuning(top: Axes, bottom: Axes, segments: list[_Segment]) -> None:
    label = _FINETUNING
    for _, phase, start, stop in segments:
        if phase == "finetune":
            bottom.axvspan(start + 0.5, stop + 0.5, color=style.SHADE, linewidth=0)
            top.axvspan(
                start + 0.5, stop + 0.5, color=style.SHADE, linewidth=0, label=label
            )
            label = "_"  # one entry in the legend


def _draw_task_borders(top: Axes, bottom: Axes, segments: list[_Segment]) -> None:
    first_row: dict[int, int] = {}
    last_row: dict[int, int] = {}
    for task, _, start, stop in segments:
        first_row.setdefault(task, start)
        last_row[task] = stop
    tasks = list(first_row)
    colour = style.MUTED if len(tasks) <= _MANY_TASKS else style.FAINT
    for task in tasks[1:]:
        for axes in (top, bottom):
            axes.axvline(
                first_row[task] + 0.5, color=colour, linewidth=0.7, linestyle=":"
            )
    for index in style.tick_positions(len(tasks)):
        task = tasks[index]
        top.annotate(
            f"task {task}" if len(tasks) <= 12 or index == 0 else str(task),
            ((first_row[task] + last_row[task] + 1) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=style.NOTE_SIZE,
            color=style.MUTED,
        )


def _draw_losses(axes: Axes, history: pd.DataFrame, segments: list[_Segment]) -> None:
    # Wide and at the back: with one term alone the total lies right under it.
    _draw(axes, history["loss"], segments, "total", style.INK, width=2.6)
    terms = [name for name in history.columns if name.startswith("loss_")]
    for index, name in enumerate(terms):
        label = name.removeprefix("loss_").replace("_", " ").replace("knn", "KNN")
        colour = style.COLOURS[index % len(style.COLOURS)]
        _draw(axes, history[name], segments, label, colour)
    axes.set_ylim(bottom=0)
    lines, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(lines)), key=lambda i: labels[i] == _FINETUNING)
    axes.legend(
        [lines[i] for i in order],
        [labels[i] for i in order],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=style.TICK_SIZE,
    )


def _draw(
    axes: Axes,
    column: pd.Series,
    segments: list[_Segment],
    label: str,
    colour: str,
    width: float = 1.2,
) -> None:
    """One line, broken where a phase ends: a jump there is not a trend."""
    values = column.to_numpy(dtype=float, na_value=np.nan)
    epochs = np.arange(1, len(values) + 1, dtype=float)
    cuts = [stop for _, _, _, stop in segments[:-1]]
    axes.plot(
        np.insert(epochs, cuts, np.nan),
        np.insert(values, cuts, np.nan),
        color=colour,
        linewidth=width if len(values) <= _MANY_EPOCHS else 0.7 * width,
        marker="." if len(values) <= _FEW_EPOCHS else None,
        label=label,
    )
