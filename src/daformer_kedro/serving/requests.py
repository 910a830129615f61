"""Requests of the server's clients as pixels: base64 images or arrays."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import decode_rgb
from daformer_kedro.scenario.prepared_image import MOST_PIXELS
from daformer_kedro.serving.classifier import Classifier

MOST_FILES = 256
"""Image files in a request: a few kilobytes may take a second each to decode."""

_COLUMN = "image"
_ALLOWED = (
    "must be images in base64 (files of any size and mode), or arrays (N, {shape}) of "
    "whole numbers from 0 to 255"
)


def decode_images(classifier: Classifier, given: Any) -> NDArray[np.uint8]:
    """Decode the images of a request to pixels.

    Args:
        classifier: says what its network reads.
        given: a table or mapping with the column ``image`` (or only one), a list or
            an array. Its elements are texts in base64, data URLs of a browser among
            them, or images as arrays.

    Returns:
        (N, H, W, C) uint8 of the classifier's ``image_shape``.

    Raises:
        InputError: anything else, over 256 files, or one of over 50 million pixels; the
            message names the first wrong image by its position.
    """
    values = _column(given)
    allowed = _ALLOWED.format(shape=", ".join(map(str, classifier.image_shape)))
    if isinstance(values, np.ndarray) and values.dtype.kind in "uif":
        return _pixels(values, classifier.image_shape, "images", allowed)
    try:
        elements = list(values)
    except TypeError as error:
        raise InputError(f"{_shortened(values)} {allowed}") from error
    if not elements:
        raise InputError(f"no image was given: {allowed}")
    num_files = sum(isinstance(element, str | bytes) for element in elements)
    if num_files > MOST_FILES and not isinstance(values, str | bytes):
        raise InputError(
            f"{num_files} image files were given; a request takes at most {MOST_FILES}"
        )
    images = [
        _one(classifier, element, f"image {number}", allowed)
        for number, element in enumerate(elements)
    ]
    return np.stack(images)


def _column(given: Any) -> Any:
    if isinstance(given, pd.DataFrame):
        if not given.columns.is_unique:
            names = ", ".join(map(str, given.columns))
            raise InputError(f"columns must have different names; found: {names}")
        given = {str(name): given[name].tolist() for name in given.columns}
    if isinstance(given, list) and given and isinstance(given[0], Mapping):
        given = {_COLUMN: [_field(row) for row in given]}
    if not isinstance(given, Mapping):
        return given
    # A row without an image makes its column shorter, and answers would shift.
    lengths = {name: len(v) for name, v in given.items() if hasattr(v, "__len__")}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"fields must have equally many rows; found: {found}")
    return _field(given)


def _field(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    if _COLUMN in row:
        return row[_COLUMN]
    if len(row) == 1:
        return next(iter(row.values()))
    names = ", ".join(map(str, row)) or "none"
    raise InputError(f"images must be in the field {_COLUMN!r}; found: {names}")


def _one(
    classifier: Classifier, element: Any, name: str, allowed: str
) -> NDArray[np.uint8]:
    if isinstance(element, np.ndarray) and element.ndim == 0:
        element = element.item()
    if isinstance(element, bytes):  # MLflow decodes what its schema calls binary
        return _view(classifier, element, name)
    if isinstance(element, str):
        return _view(classifier, _from_base64(element, name), name)
    try:
        array = np.array(element)
    except ValueError as error:
        raise InputError(f"{name} is ragged; images {allowed}") from error
    if array.dtype.kind not in "uif" or array.ndim == 0:
        raise InputError(f"{name} is {_shortened(element)}; images {allowed}")
    return _pixels(array[None], classifier.image_shape, name, allowed)[0]


def _view(classifier: Classifier, content: bytes, name: str) -> NDArray[np.uint8]:
    return classifier.view(decode_rgb(content, name, most_pixels=MOST_PIXELS))


def _from_base64(text: str, name: str) -> bytes:
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name} is not base64: {error}") from error


def _pixels(
    array: NDArray[Any], shape: tuple[int, int, int], name: str, allowed: str
) -> NDArray[np.uint8]:
    if array.shape[1:] != shape:
        raise InputError(f"{name}: shape {array.shape}; images {allowed}")
    if array.dtype == np.uint8:
        return array
    # NaN is neither at least 0 nor at most 255.
    if not np.all((array >= 0) & (array <= 255) & (array == np.floor(array))):
        raise InputError(
            f"{name}: values from {array.min()} to {array.max()}; images {allowed}"
        )
    return array.astype(np.uint8)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
