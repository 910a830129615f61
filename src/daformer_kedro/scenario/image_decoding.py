"""Encoded images to RGB pixels: small ones as they are, photographs as square views."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from daformer_kedro.errors import InputError

# Modes that turn into RGB without loss; alpha and 16-bit images do not.
_LOSSLESS_MODES = frozenset({"1", "L", "P", "RGB"})
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_PLAIN_MODES = frozenset({"1", "L", "P", "CMYK", "YCbCr", "HSV"})
_LARGEST_16_BIT = 65535
_ASPECT_RATIOS = (3 / 4, 4 / 3)
_NUM_ATTEMPTS = 10


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


def open_rgb(path: Path, *, least_side: int | None = None) -> Image.Image:
    """Decode an image file of any kind that Pillow reads to RGB, upright.

    The content decides the format, not the name's ending. EXIF orientation is
    applied; transparency is laid over white; 16-bit grey is scaled to 8 bits; of an
    animation the first picture counts.

    Args:
        path: the file.
        least_side: let a JPEG decode at 1/2, 1/4 or 1/8 of its size where its short
            side stays at least this long, which saves most of the time on large
            photographs. What comes out depends on the file and this number alone.

    Raises:
        InputError: the file cannot be read, is no image, is damaged or cut off, or
            has pixels that are neither 8-bit nor 16-bit; the message names it.
    """
    # Pillow warns of odd EXIF data and of large photographs; neither is a fault here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                if least_side is not None:
                    image.draft(None, (least_side, least_side))
                image.load()
                with contextlib.suppress(Exception):  # damaged EXIF data is no loss
                    ImageOps.exif_transpose(image, in_place=True)
                return _to_rgb(image)
        except ImageDecodingError as error:
            raise InputError(f"{path}: {error}") from error
        except Image.UnidentifiedImageError as error:
            raise InputError(f"{path}: {_unidentified(path)}") from error
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except Exception as error:  # decoders raise many kinds on damaged bytes
            raise InputError(f"{path}: cannot be decoded: {error}") from error


def _unidentified(path: Path) -> str:
    if not path.stat().st_size:
        return "is empty"
    return "is no image of a known format, or its beginning is damaged"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    if image.mode == "RGB":
        return image
    if image.mode in _PLAIN_MODES:
        return image.convert("RGB")
    raise ImageDecodingError(
        f"has pixels of mode {image.mode}; it must be grey, palette, RGB or CMYK, of "
        "8 or 16 bits"
    )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey, which Pillow may also hold in 32 bits, to 8 bits."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > _LARGEST_16_BIT:
        raise ImageDecodingError(
            f"has grey values from {values.min()} to {values.max()}; they must fit 16 "
            "bits"
        )
    # 65535 = 255 · 257, so that black stays black and white white.
    scaled = (values.astype(np.uint32) + 128) // 257
    return Image.fromarray(scaled.astype(np.uint8))


def test_view(image: Image.Image, resize: int | None, size: int) -> NDArray[np.uint8]:
    """Scale the short side to ``resize`` and cut ``size`` × ``size`` from the centre.

    Args:
        image: RGB.
        resize: short side before the cut, ``None`` for ``size``; at least ``size``.
        size: side of the view.

    Returns:
        (size, size, 3); bicubic, antialiased.
    """
    short_side = size if resize is None else resize
    width, height = image.size
    shortest = min(width, height)
    scaled = (width * short_side // shortest, height * short_side // shortest)
    left, top = (round((side - size) / 2) for side in scaled)
    # Only the part that stays is computed: the same pixels as scaling the whole, and
    # no huge image in between for a strip of a few pixels' height.
    x_scale, y_scale = width / scaled[0], height / scaled[1]
    box = (
        left * x_scale,
        top * y_scale,
        min((left + size) * x_scale, width),
        min((top + size) * y_scale, height),
    )
    return _resized(image, box, size)


def random_view(
    image: Image.Image, area: tuple[float, float], size: int, seed: int
) -> NDArray[np.uint8]:
    """Cut a rectangle of random area and shape and scale it to ``size`` × ``size``.

    The random resized crop of Szegedy et al. 2015 ("Going deeper with convolutions",
    section 6) as the field uses it: the share of the area is uniform, the aspect ratio
    log-uniform from 3/4 to 4/3. After ten rectangles that do not fit, the largest
    central one with such a ratio is taken.

    Args:
        image: RGB.
        area: smallest and largest share of the image's area.
        size: side of the view.
        seed: the same seed cuts the same rectangle.

    Returns:
        (size, size, 3); bicubic, antialiased.
    """
    left, top, width, height = _random_box(*image.size, area, seed)
    return _resized(image, (left, top, left + width, top + height), size)


def _random_box(
    width: int, height: int, area: tuple[float, float], seed: int
) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random rectangle in an image."""
    generator = np.random.default_rng(seed)
    narrowest, widest = _ASPECT_RATIOS
    for _ in range(_NUM_ATTEMPTS):
        pixels = generator.uniform(*area) * width * height
        ratio = math.exp(generator.uniform(math.log(narrowest), math.log(widest)))
        box_width = round(math.sqrt(pixels * ratio))
        box_height = round(math.sqrt(pixels / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(generator.integers(width - box_width + 1))
            top = int(generator.integers(height - box_height + 1))
            return left, top, box_width, box_height
    box_width = min(width, max(1, round(height * widest)))
    box_height = min(height, max(1, round(width / narrowest)))
    return (
        (width - box_width) // 2,
        (height - box_height) // 2,
        box_width,
        box_height,
    )


def _resized(
    image: Image.Image, box: tuple[float, float, float, float], size: int
) -> NDArray[np.uint8]:
    view = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(view)
