"""Attention maps of the decoder beside the images they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style

_MOST_TASKS = 10
_CELL_INCHES = 1.05
_SCALE = {"shrink": 0.9, "aspect": 30, "pad": 0.01}


def attention_map_figure(
    images: NDArray[np.uint8],
    external: NDArray[np.floating] | None,
    internal: NDArray[np.floating] | None,
) -> Figure:
    """Where external attention and each task's internal attention look.

    External and internal attention each have one colour scale for all images. Of
    more than ten tasks, ten spread evenly are shown, the first and last among
    them.

    Args:
        images: ``(n, H, W, C)``, C 1 or 3.
        external: ``(n, h, w)`` share of attention each patch gets; ``None`` for a
            model without external attention.
        internal: ``(n, T, h, w)``, the same for each task; ``None`` likewise.

    Raises:
        InputError: the arrays differ in n or in the number of axes.
    """
    _check(images, external, internal)
    tasks = [] if internal is None else _shown_tasks(internal.shape[1])
    num_images = len(images)
    num_columns = 1 + (external is not None) + len(tasks)
    figure = style.new_figure(
        _CELL_INCHES * num_columns + 1.6, _CELL_INCHES * num_images + 0.9
    )
    grid = figure.subplots(num_images, num_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    _draw_column(grid[:, 0], images, "image", None)
    if external is not None:
        norm = Normalize(0, 100 * float(external.max()))
        drawn = _draw_column(grid[:, 1], 100 * external, "external", norm)
        style.add_scale(
            figure, drawn, list(grid.flat), "External attention (% a patch)", **_SCALE
        )
    if internal is not None:
        norm = Normalize(0, 100 * float(internal[:, tasks].max()))
        for column, task in zip(grid.T[-len(tasks) :], tasks, strict=True):
            title = f"internal,\ntask {task}"
            drawn = _draw_column(column, 100 * internal[:, task], title, norm)
        style.add_scale(
            figure, drawn, list(grid.flat), "Internal attention (% a patch)", **_SCALE
        )
    style.title_above(figure, "Attention of the decoder")
    return figure


def _check(
    images: NDArray[np.uint8],
    external: NDArray[np.floating] | None,
    internal: NDArray[np.floating] | None,
) -> None:
    expected = (
        ("images", images, 4),
        ("external", external, 3),
        ("internal", internal, 4),
    )
    for name, array, num_axes in expected:
        if array is None:
            continue
        if array.ndim != num_axes or len(array) != len(images) or len(array) == 0:
            raise InputError(
                f"{name} has shape {array.shape}: must have {num_axes} axes and "
                f"{max(len(images), 1)} images"
            )


def _shown_tasks(num_tasks: int) -> list[int]:
    count = min(num_tasks, _MOST_TASKS)
    return [int(task) for task in np.linspace(0, num_tasks - 1, count).round()]


def _draw_column(
    column: NDArray[np.object_], maps: NDArray[Any], title: str, norm: Normalize | None
) -> AxesImage:
    axes: Axes
    for axes, values in zip(column, maps, strict=True):
        if norm is None:
            drawn = axes.imshow(np.broadcast_to(values, (*values.shape[:2], 3)))
        else:
            drawn = axes.imshow(values, cmap=style.HEAT_MAP, norm=norm)
    column[0].set_title(title, fontsize=style.NOTE_SIZE, color=style.INK)
    return drawn
