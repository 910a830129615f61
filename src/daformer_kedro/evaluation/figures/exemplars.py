"""A contact sheet of the rehearsal memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import style
from daformer_kedro.evaluation.figures.plain_text import as_lines
from daformer_kedro.evaluation.thinning import evenly_spaced

_NUM_SHOWN = 10
_ROWS_A_BLOCK = 25
_LARGEST_SIDE = 64
_ROW_INCHES = 0.36


def exemplar_sheet_figure(
    images: Sequence[NDArray[np.uint8]],
    class_names: Sequence[str],
    max_classes: int = 100,
) -> Figure:
    """Draw the first ten exemplars of each class, in the order chosen, from the left.

    Args:
        images: for each class ``(n, H, W, C)``, C 1 or 3, in the order chosen (with
            herding the best first); n may be 0 and may differ from class to class.
        class_names: one name per class, in the order of ``images``.
        max_classes: more classes than this are thinned evenly.

    Raises:
        InputError: names and images differ in number, both are empty, or an array
            has another shape.
    """
    _check(images, class_names)
    shown = evenly_spaced(len(images), max_classes)
    num_columns = max(1, min(_NUM_SHOWN, max(len(images[i]) for i in shown)))
    num_blocks = math.ceil(len(shown) / _ROWS_A_BLOCK)
    height = math.ceil(len(shown) / num_blocks)
    figure = style.new_figure(
        max(4.0, num_blocks * (_ROW_INCHES * num_columns + 1.2)),
        max(1.6, _ROW_INCHES * height + 0.7),
    )
    blocks = figure.subplots(1, num_blocks, squeeze=False)[0]
    names = dict(zip(shown, as_lines(class_names[i] for i in shown), strict=True))
    for block, axes in enumerate(blocks):
        rows = shown[block * height : (block + 1) * height]
        sheet, side = _sheet([images[i] for i in rows], height, num_columns)
        axes.imshow(sheet, interpolation="none")
        centres = (np.arange(len(rows)) + 0.5) * (side + 1) - 1
        labels = [names[i] for i in rows]
        axes.set_yticks(centres, labels=labels, fontsize=style.NOTE_SIZE)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    of_all = "" if len(shown) == len(images) else f" ({len(shown)} of {len(images)})"
    style.title_above(figure, f"Exemplars of each class{of_all}, in the order chosen")
    return figure


def _check(images: Sequence[NDArray[np.uint8]], class_names: Sequence[str]) -> None:
    if not images or len(images) != len(class_names):
        raise InputError(
            f"images has {len(images)} classes and class_names {len(class_names)}: "
            "must be the same number, at least 1"
        )
    shapes = {array.shape[1:] for array in images}
    if len(shapes) > 1 or any(
        array.ndim != 4 or array.shape[3] not in (1, 3) for array in images
    ):
        raise InputError(
            f"images has arrays of shape {sorted({a.shape for a in images})}: must be "
            "(n, H, W, 1) or (n, H, W, 3), with H, W and C the same for all"
        )


def _sheet(
    classes: Sequence[NDArray[np.uint8]], num_rows: int, num_columns: int
) -> tuple[NDArray[np.uint8], int]:
    """Return a white sheet with one row per class, and its images' height in pixels."""
    stride = math.ceil(max(classes[0].shape[1:3]) / _LARGEST_SIDE)
    height, width = classes[0][:1, ::stride, ::stride].shape[1:3]
    sheet = np.full(
        (num_rows * (height + 1), num_columns * (width + 1), 3), 255, np.uint8
    )
    for row, array in enumerate(classes):
        for column, image in enumerate(array[:num_columns]):
            y, x = row * (height + 1), column * (width + 1)
            sheet[y : y + height, x : x + width] = image[::stride, ::stride]
    return sheet, height
