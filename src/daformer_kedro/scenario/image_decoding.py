"""Image files of any kind to RGB pixels of the size that a network reads."""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.decoder_messages import collect_messages
from daformer_kedro.scenario.image_formats import (
    RAW_REASON,
    formats,
    is_raw,
    why_unknown,
)
from daformer_kedro.scenario.jpeg_scans import check_scans
from daformer_kedro.scenario.pixel_modes import scale_transparent_colour, to_rgb

_LOGGER = logging.getLogger(__name__)
_NUM_ATTEMPTS = 10
_RATIO = (3 / 4, 4 / 3)
_MOST_SHORT_SIDES = 32  # of the long side, that are scaled
_MOST_LOGGED = 1000  # files, whose names may be a stranger's
_logged: set[str] = set()  # files whose decoder's messages were logged


def open_rgb(path: Path) -> Image.Image:
    """Decode a file, whatever its mode, as 8-bit RGB, upright.

    The content decides the format, not the name. Grey and palette images become
    RGB, transparent ones lie on white, 16-bit grey is scaled to 8 bits, colours go
    from the file's profile to sRGB, and an orientation that a camera has noted is
    applied. Of an animation the first picture counts. What a decoder says of a file
    that it can read is logged once.

    Raises:
        InputError: the file is missing, damaged, cut off or no image, has more than
            16 bits per channel, or more pixels than Pillow takes for safe (179
            million); it is named.
    """
    # Pillow warns of odd EXIF data and from half that many pixels on, each time.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode_rgb(path, str(path))


def decode_square(source: Path | bytes, name: str, side: int) -> NDArray[np.uint8]:
    """Decode an image that must have a certain size, see :func:`decode_rgb`.

    A PNG of 32 × 32 pixels takes some 0.1 ms on one core. Threads make it slower: the
    images are too small for the time without the interpreter's lock to count.

    Returns:
        (side, side, 3) uint8.
    """
    return np.asarray(decode_rgb(source, name, side=side))


def decode_rgb(
    source: Path | bytes,
    name: str,
    *,
    side: int | None = None,
    most_pixels: int | None = None,
) -> Image.Image:
    """Decode as :func:`open_rgb` does, safe in threads: Pillow's warnings come through.

    Args:
        source: a file, or its content.
        name: what to call it in messages.
        side: pixels that height and width must have, checked in the header before
            anything is decoded. ``None`` for any.
        most_pixels: a lower limit than Pillow's, checked likewise.

    Raises:
        InputError: see :func:`open_rgb`, or the size is another.
    """
    if not isinstance(source, bytes):
        refuse_special(source, name)
    with collect_messages() as messages:
        try:
            image = _decoded(source, name, side, most_pixels)
        except FileNotFoundError as error:
            raise InputError(f"{name}: does not exist") from error
        except Exception as error:  # decoders raise many kinds on damaged bytes
            reason = _reason(error, source, name)
            noted = f" ({'; '.join(messages[:3])})" if messages else ""
            raise InputError(
                f"{name}: cannot be read as an image: {reason}{noted}"
            ) from error
    if messages:
        _log_once(name, "; ".join(messages[:3]))
    return image


def _log_once(name: str, messages: str) -> None:
    if name in _logged or len(_logged) >= _MOST_LOGGED:
        return
    _logged.add(name)
    _LOGGER.warning("%s: is read, although: %s", name, messages)
    if len(_logged) == _MOST_LOGGED:
        _LOGGER.warning("no more files are logged of which decoders say something")


def _decoded(
    source: Path | bytes, name: str, side: int | None, most_pixels: int | None
) -> Image.Image:
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    with Image.open(opened, formats=formats()) as image:
        width, height = image.size
        if side is not None and image.size != (side, side):
            raise ValueError(
                f"is {width} × {height} pixels; it must be {side} × {side}"
            )
        if most_pixels is not None and width * height > most_pixels:
            raise ValueError(
                f"is {width} × {height} pixels; at most {most_pixels / 1e6:g} million "
                "are taken"
            )
        if is_raw(image, name):
            raise ValueError(RAW_REASON)
        if image.format in ("JPEG", "MPO") and image.fp is not None:
            check_scans(image.fp)
        if isinstance(image, ImageFile.ImageFile):
            scale_transparent_colour(image)
        image.load()
        return to_rgb(_upright(image))


def refuse_special(path: Path, name: str) -> None:
    """Raise an error for a pipe or a device, which a reader might wait for.

    Raises:
        InputError: something is there, and is not a regular file.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # neither ever raises
        raise InputError(f"{name}: is not a regular file")


def _reason(error: Exception, source: Path | bytes, name: str) -> str:
    if not isinstance(error, UnidentifiedImageError):
        return str(error) or type(error).__name__
    # Pillow's own message may name an object in memory.
    if isinstance(source, bytes):
        return why_unknown(source[:12], name)
    with source.open("rb") as stream:
        return why_unknown(stream.read(12), name)


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # exif_transpose would copy it
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data beside sound pixels
        return image


def eval_view(image: Image.Image, resize: int, size: int) -> NDArray[np.uint8]:
    """Scale the short side to ``resize`` and crop the central square, as for testing.

    Bicubic and antialiased. Of an image more than 32 times as long as wide, only the
    middle is scaled: all of a line of pixels would be gigabytes.

    Args:
        image: RGB, of any size.
        resize: pixels of the short side.
        size: side S of the square, at most ``resize``.

    Returns:
        (S, S, 3) uint8.
    """
    image = _middle(image)
    short = min(image.size)
    # Both roundings are torchvision's, whose pixels published figures were tested on.
    width, height = (side * resize // short for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled.crop((left, top, left + size, top + size)))


def _middle(image: Image.Image) -> Image.Image:
    """Cut off the far ends of a long image, keeping its centre."""
    longest = _MOST_SHORT_SIDES * min(image.size)
    left, top = (max(0, side - longest) // 2 for side in image.size)
    if not left and not top:
        return image
    return image.crop((left, top, image.width - left, image.height - top))


def random_view(
    image: Image.Image, area: tuple[float, float], size: int, seed: int
) -> NDArray[np.uint8]:
    """A random resized crop (Szegedy et al., CVPR 2015).

    The area is uniform in its range and the logarithm of the aspect ratio uniform
    between those of 3/4 and 4/3. The first of ten attempts that fits is placed
    uniformly; where none fits, the largest central box of an allowed shape is taken.

    Args:
        image: RGB, of any size.
        area: smallest and largest share of the image.
        size: side S of the result.
        seed: source of all chance.

    Returns:
        (S, S, 3) uint8, bicubic and antialiased.
    """
    box = _draw_box(image.width, image.height, area, np.random.default_rng(seed))
    # Cropped first: with resize's own box, pixels around it would weigh in.
    scaled = image.crop(box).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(scaled)


def _draw_box(
    width: int,
    height: int,
    area: tuple[float, float],
    chance: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random crop."""
    low, high = (math.log(ratio) for ratio in _RATIO)
    pixels = width * height * chance.uniform(*area, _NUM_ATTEMPTS)
    ratios = np.exp(chance.uniform(low, high, _NUM_ATTEMPTS))
    widths = np.sqrt(pixels * ratios).round().astype(int)
    heights = np.sqrt(pixels / ratios).round().astype(int)
    place = chance.random(2)
    fits = (widths <= width) & (heights <= height) & (widths > 0) & (heights > 0)
    if fits.any():
        first = int(fits.argmax())
        across, down = int(widths[first]), int(heights[first])
        left = int(place[0] * (width - across + 1))
        top = int(place[1] * (height - down + 1))
    else:
        across = max(1, min(width, round(height * _RATIO[1])))
        down = max(1, min(height, round(width / _RATIO[0])))
        left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down
