"""Attention maps of the decoder next to the images they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.thinning import evenly_spaced

_MOST_MAPS = 10
_CELL_INCHES = 1.05
_SCALE = {"shrink": 0.9, "aspect": 30, "pad": 0.01}

Maps = NDArray[np.floating]


def attention_map_figure(
    images: NDArray[np.uint8],
    external: Maps | None,
    internal: Maps | None,
) -> Figure:
    """Draw external attention and each task's internal attention over images.

    External and internal attention each have one colour scale for all images. Of
    more than ten maps per image (five of each kind, where both have one per task), as
    many spread evenly are shown, the first and last among them.

    Args:
        images: ``(n, H, W, C)``, C 1 or 3.
        external: ``(n, 1, h, w)`` share of attention each patch gets, or
            ``(n, T, h, w)`` for a model with external keys of each task; ``None`` for
            a model without external attention.
        internal: ``(n, T, h, w)``, the same for each task; ``None`` for a model without
            internal attention.

    Raises:
        InputError: the arrays differ in n or in the number of axes.
    """
    kinds = {"external": external, "internal": internal}
    _check(images, kinds)
    shown = _shown_maps(kinds)
    num_images = len(images)
    num_columns = 1 + sum(len(tasks) for tasks in shown.values())
    figure = style.new_figure(
        _CELL_INCHES * num_columns + 1.6, _CELL_INCHES * num_images + 0.9
    )
    grid = figure.subplots(num_images, num_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    _draw_column(grid[:, 0], images, "image", None)
    columns = iter(grid.T[1:])
    for kind, tasks in shown.items():
        maps = kinds[kind]
        assert maps is not None
        norm = Normalize(0, 100 * float(maps[:, tasks].max()))
        for task in tasks:
            shared = kind == "external" and maps.shape[1] == 1
            title = kind if shared else f"{kind},\ntask {task}"
            drawn = _draw_column(next(columns), 100 * maps[:, task], title, norm)
        label = f"{kind.capitalize()} attention (% per patch)"
        style.add_scale(figure, drawn, list(grid.flat), label, **_SCALE)
    style.title_above(figure, "Attention of the decoder")
    return figure


def _check(images: NDArray[np.uint8], kinds: Mapping[str, Maps | None]) -> None:
    for name, array in {"images": images, **kinds}.items():
        if array is None:
            continue
        if array.ndim != 4 or len(array) != len(images) or len(array) == 0:
            raise InputError(
                f"{name} has shape {array.shape}: must have 4 axes and "
                f"{max(len(images), 1)} images"
            )


def _shown_maps(kinds: Mapping[str, Maps | None]) -> dict[str, list[int]]:
    """Choose the tasks whose maps are drawn, for each kind of attention."""
    counts = {kind: maps.shape[1] for kind, maps in kinds.items() if maps is not None}
    num_many = sum(count > 1 for count in counts.values())
    most = _MOST_MAPS // max(num_many, 1)
    return {kind: evenly_spaced(count, most) for kind, count in counts.items()}


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
