"""A file prepared for a network and for a person: what either of them sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daformer_kedro.scenario.image_decoding import decode_rgb, eval_view

MOST_PIXELS = 50_000_000
"""Of an image from strangers; phones take up to 48 million at their best."""
_MOST_SIDE = 512


@dataclass(frozen=True)
class ViewSettings:
    """Settings of the part of an image that a network reads.

    Attributes:
        side: pixels of the central square that it reads.
        resize: pixels of the short side, before the square is cut out.
        num_channels: 3, or 1 for grey.
    """

    side: int
    resize: int
    num_channels: int


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """A decoded file, as a network reads it and as a person sees it.

    Attributes:
        pixels: (S, S, C) uint8, as the network reads it.
        small: (h, w, 3) uint8, upright, of 512 pixels at most.
        size: width and height of the upright image.
    """

    pixels: NDArray[np.uint8]
    small: NDArray[np.uint8]
    size: tuple[int, int]


def prepare_image(content: bytes, name: str, settings: ViewSettings) -> PreparedImage:
    """Decode a file from a stranger, of at most 50 million pixels.

    Raises:
        InputError: see :func:`~daformer_kedro.scenario.image_decoding.decode_rgb`.
    """
    image = decode_rgb(content, name, most_pixels=MOST_PIXELS)
    pixels = network_view(image, settings)
    return PreparedImage(pixels, np.asarray(shrink(image)), image.size)


def network_view(image: Image.Image, settings: ViewSettings) -> NDArray[np.uint8]:
    """Return what a network reads of an RGB image: (S, S, C) uint8."""
    if settings.num_channels == 1:
        image = image.convert("L")
    view = eval_view(image, settings.resize, settings.side)
    return view[..., None] if settings.num_channels == 1 else view


def shrink(image: Image.Image) -> Image.Image:
    """Return an image of at most 512 pixels, for a page."""
    scale = min(1, _MOST_SIDE / max(image.size))
    width, height = (max(1, round(scale * length)) for length in image.size)
    return image.resize((width, height), reducing_gap=2)
