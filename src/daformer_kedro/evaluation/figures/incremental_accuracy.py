"""Accuracy on all classes seen, after each task, with published results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.label_placement import spread
from daformer_kedro.evaluation.figures.plain_text import as_lines
from daformer_kedro.evaluation.metrics import average_incremental_accuracy

Interval = tuple[Sequence[float], Sequence[float]]

_LINE_INCHES = 0.16
_LONGEST_LABEL = 80  # characters
_MANY_POINTS = 20


@dataclass(frozen=True)
class _Mark:
    """A last accuracy that has no curve: a dash at the right edge and its label."""

    last: float
    text: str
    colour: str


def incremental_accuracy_figure(
    curves: Mapping[str, Sequence[float]],
    num_classes_seen: Sequence[int],
    published: pd.DataFrame | None = None,
    joint: float | None = None,
    intervals: Mapping[str, Interval] | None = None,
    images: str = "test",
) -> Figure:
    """Curves of our runs, and dashes for results of which only the end is known.

    Published tables give the accuracy after the last task and the average over tasks
    but no curve, so each is one dash at the right edge with its average in words.

    Args:
        curves: for each label, the accuracy after each task, as fractions of 1.
        num_classes_seen: classes seen after each task, the horizontal axis.
        published: rows of one protocol from
            :func:`daformer_kedro.evaluation.published.published_for`; those without
            ``last_top1`` are left out.
        joint: last accuracy of our joint training, whose last task trains on
            all images of all classes, a fraction of 1.
        intervals: for labels among the curves, both ends of the mean's interval after
            each task, as fractions of 1; drawn as a band.
        images: kind of images that the curves are measured on.

    Raises:
        InputError: a curve is longer than ``num_classes_seen``, or is empty.
    """
    _check(curves, len(num_classes_seen))
    marks = _marks(published, joint)
    height = max(4.4, 1.6 + _LINE_INCHES * len(marks))
    legend_inches = 0.2 * math.ceil(len(curves) / 2)
    figure = style.new_figure(9.6 if marks else 6.8, height + legend_inches)
    axes = figure.add_subplot()
    style.dress(
        axes,
        "Accuracy on all classes seen",
        "Classes seen",
        f"Accuracy on {images} images (%)",
    )
    style.draw_grid(axes)
    lines = _draw_curves(axes, curves, num_classes_seen)
    _draw_bands(axes, curves, num_classes_seen, intervals or {})
    _set_limits(axes, curves, num_classes_seen, marks)
    _draw_marks(axes, marks, height - 1.1)
    if published is not None and not published.empty:
        _head_published(axes)
    # Below the axes, where no curve can be. Lines whose label begins with an underscore
    # would be left out if they were not named.
    figure.legend(
        handles=lines,
        labels=[str(line.get_label()) for line in lines],
        loc="outside lower left",
        ncols=2,
        frameon=False,
        fontsize=style.TICK_SIZE,
    )
    return figure


def _check(curves: Mapping[str, Sequence[float]], num_tasks: int) -> None:
    for label, values in curves.items():
        if not 1 <= len(values) <= num_tasks:
            raise InputError(
                f"curve {label!r} has {len(values)} tasks: must have 1 to "
                f"{num_tasks}, the entries of num_classes_seen"
            )


def _marks(published: pd.DataFrame | None, joint: float | None) -> list[_Mark]:
    marks = []
    if joint is not None:
        text = f"{100 * joint:.1f}  our joint training"
        marks.append(_Mark(100 * joint, text, style.INK))
    if published is None:
        return marks
    rows = published[published["last_top1"].notna()]
    names = rows["method"].astype(str)
    several = names.duplicated(keep=False)
    for name, twice, memory, last, average in zip(
        as_lines(names, _LONGEST_LABEL),
        several,
        as_lines(rows["memory"].astype(str), _LONGEST_LABEL),
        rows["last_top1"],
        rows["average_incremental_top1"],
        strict=True,
    ):
        text = f"{last:.1f}  {name}"
        if twice:
            text += f", {memory}"
        if pd.notna(average):
            text += f" ({average:.1f})"
        marks.append(_Mark(float(last), text, style.MUTED))
    return marks


def _draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[float]], num_classes_seen: Sequence[int]
) -> list[Line2D]:
    lines = []
    labels = as_lines(curves, _LONGEST_LABEL)
    for index, (label, values) in enumerate(zip(labels, curves.values(), strict=True)):
        mean = 100 * average_incremental_accuracy(values)
        lines += axes.plot(
            num_classes_seen[: len(values)],
            style.to_percent(values),
            label=f"{label}: last {100 * values[-1]:.1f}, average {mean:.1f}",
            color=style.COLOURS[index % len(style.COLOURS)],
            marker=style.MARKERS[index % len(style.MARKERS)],
            markersize=5.5 if len(num_classes_seen) <= _MANY_POINTS else 3,
            linewidth=1.8,
            clip_on=False,
            zorder=3,
        )
    return lines


def _draw_bands(
    axes: Axes,
    curves: Mapping[str, Sequence[float]],
    num_classes_seen: Sequence[int],
    intervals: Mapping[str, Interval],
) -> None:
    for index, (label, values) in enumerate(curves.items()):
        if label in intervals:
            low, high = map(style.to_percent, intervals[label])
            axes.fill_between(
                num_classes_seen[: len(values)],
                low,
                high,
                color=style.COLOURS[index % len(style.COLOURS)],
                alpha=0.18,
                linewidth=0,
            )


def _set_limits(
    axes: Axes,
    curves: Mapping[str, Sequence[float]],
    num_classes_seen: Sequence[int],
    marks: Sequence[_Mark],
) -> None:
    lowest = min(
        [100 * value for values in curves.values() for value in values]
        + [mark.last for mark in marks],
        default=0.0,
    )
    axes.set_ylim(max(0, 10 * math.floor((lowest - 4) / 10)), 100)
    first, last = num_classes_seen[0], num_classes_seen[-1]
    margin = 0.03 * (last - first) or 1
    axes.set_xlim(first - margin, last + margin)
    ticks = style.tick_positions(len(num_classes_seen), most=11)
    # The last task is what results are quoted for: count the ticks back from it.
    axes.set_xticks([num_classes_seen[-1 - tick] for tick in ticks])


def _draw_marks(axes: Axes, marks: Sequence[_Mark], inches: float) -> None:
    """Dashes on the right edge of axes about ``inches`` high, joined to their text."""
    low, high = axes.get_ylim()
    gap = (high - low) * _LINE_INCHES / inches
    places = spread([mark.last for mark in marks], gap, low, high)
    across = axes.get_yaxis_transform()
    for mark, place in zip(marks, places, strict=True):
        axes.plot(
            [1.0, 1.02],
            [mark.last, mark.last],
            transform=across,
            color=mark.colour,
            linewidth=2,
            solid_capstyle="butt",
            clip_on=False,
        )
        axes.plot(
            [1.02, 1.065],
            [mark.last, place],
            transform=across,
            color=mark.colour,
            linewidth=0.6,
            clip_on=False,
        )
        axes.text(
            1.075,
            place,
            mark.text,
            transform=across,
            va="center",
            fontsize=style.NOTE_SIZE,
            color=mark.colour,
        )


def _head_published(axes: Axes) -> None:
    axes.text(
        1.01,
        1.02,
        "Published: last (average)",
        transform=axes.transAxes,
        va="bottom",
        fontsize=style.NOTE_SIZE,
        color=style.MUTED,
    )
