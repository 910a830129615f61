"""Colours, fonts and small helpers that every figure shares."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from numpy.typing import NDArray

from daformer_kedro.evaluation.figures.plain_text import PlainFigure

# Okabe and Ito (2008), without the yellow that is too faint on white. Darkest first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
INK = "#222222"
MUTED = "#666666"
FAINT = "#d9d9d9"
SHADE = "#efefef"
HEAT_MAP = "viridis"

TITLE_SIZE = 11
LABEL_SIZE = 9.5
TICK_SIZE = 8.5
NOTE_SIZE = 8

INTERVALS_OF_MEANS = "95 % intervals of the mean over the runs (Student's t)"

_MANY_TICKS = 12
_MARGIN_INCHES = 0.1


def new_figure(width: float, height: float) -> Figure:
    """A white figure of that many inches, laid out so that nothing overlaps."""
    figure = PlainFigure(
        figsize=(width, height), layout="constrained", facecolor="white"
    )
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=_MARGIN_INCHES, h_pad=_MARGIN_INCHES)
    return figure


def dress(
    axes: Axes, title: str, x_label: str, y_label: str, title_pad: float = 6
) -> None:
    """Give axes a title, labels with units, and the common look."""
    axes.set_title(
        title,
        loc="left",
        fontsize=TITLE_SIZE,
        fontweight="bold",
        color=INK,
        pad=title_pad,
    )
    axes.set_xlabel(x_label, fontsize=LABEL_SIZE, color=INK)
    axes.set_ylabel(y_label, fontsize=LABEL_SIZE, color=INK)
    axes.tick_params(labelsize=TICK_SIZE, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_grid(axes: Axes) -> None:
    """Faint horizontal lines behind the data."""
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)


def title_above(figure: Figure, title: str) -> None:
    """A title for a figure of many axes."""
    figure.suptitle(
        title,
        x=0.01,
        ha="left",
        fontsize=TITLE_SIZE,
        fontweight="bold",
        color=INK,
    )


def write_note(axes: Axes, text: str) -> None:
    """Write a note in the middle of empty axes."""
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=LABEL_SIZE,
        color=MUTED,
    )


def head_legend(legend: Legend, notes: Sequence[str]) -> None:
    """Write what holds for all of a legend above it, one note a line."""
    legend.set_title("\n".join(notes), prop=FontProperties(size=NOTE_SIZE))
    legend.set_alignment("left")


def tick_positions(count: int, most: int = _MANY_TICKS) -> list[int]:
    """Return positions 0 … count - 1, thinned to a round spacing if they are many."""
    if count <= most:
        return list(range(count))
    for spacing in (2, 5, 10, 20, 50, 100):
        if math.ceil(count / spacing) <= most:
            return list(range(0, count, spacing))
    return list(range(0, count, math.ceil(count / most)))


def to_percent(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Convert fractions to percent, ``None`` to NaN."""
    return 100 * np.array([np.nan if v is None else v for v in values], dtype=float)


def add_scale(
    figure: Figure,
    image: AxesImage,
    axes: Axes | Sequence[Axes],
    label: str,
    **layout: Any,
) -> None:
    """Add a colour scale next to axes; ``layout`` goes to ``Figure.colorbar``."""
    bar = figure.colorbar(image, ax=axes, **layout)
    bar.set_label(label, fontsize=LABEL_SIZE, color=INK)
    bar.ax.tick_params(labelsize=TICK_SIZE, colors=INK)
    for side in bar.ax.spines.values():
        side.set_visible(False)


def write_values(axes: Axes, image: AxesImage, values: NDArray[np.float64]) -> None:
    """Write each cell's value into a heat map, but for NaN.

    The text is dark or white, whichever stands out on the cell's colour.
    """
    colours = image.to_rgba(values)
    brightness = colours[..., :3] @ np.array([0.299, 0.587, 0.114])
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=NOTE_SIZE,
                color=INK if brightness[row, column] > 0.42 else "white",
            )


def figure_to_png(figure: Figure, dpi: int = 120) -> bytes:
    """Render a figure as PNG, byte for byte the same for the same figure.

    No metadata goes in: matplotlib would write its version.
    """
    stream = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    canvas.print_figure(stream, dpi=dpi, format="png", metadata={"Software": None})
    return stream.getvalue()
