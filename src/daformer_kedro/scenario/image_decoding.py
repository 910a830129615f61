"""Image files of any kind to RGB pixels of the size that a network reads."""

from __future__ import annotations

import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from daformer_kedro.errors import InputError

_NUM_ATTEMPTS = 10
_RATIO = (3 / 4, 4 / 3)
_MOST_SHORT_SIDES = 32  # of the long side, that are scaled
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")  # Pillow may hold 16 bits in 32


def open_rgb(path: Path) -> Image.Image:
    """Decode a file, whatever its mode, as 8-bit RGB, upright.

    The format is told by the content, not by the name. Grey and palette images become
    RGB, transparent ones lie on white, 16-bit grey is scaled to 8 bits, and an
    orientation that a camera has noted is applied. Of an animation the first picture
    counts.

    Raises:
        InputError: the file is missing, damaged, cut off or no image, has more than
            16 bits a pixel's channel, or more pixels than Pillow takes for safe (179
            million); it is named.
    """
    # Pillow warns of odd EXIF data and from half that many pixels on, each time.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode_rgb(path, str(path))


def decode_rgb(source: Path | bytes, name: str) -> Image.Image:
    """Do as :func:`open_rgb`, safe in threads: Pillow's warnings come through.

    Args:
        source: a file, or its content.
        name: what to call it in messages.

    Raises:
        InputError: see :func:`open_rgb`.
    """
    if not isinstance(source, bytes) and _is_special(source):
        # Opening a pipe would wait for whoever writes to it.
        raise InputError(f"{name}: is no regular file")
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(opened) as image:
            image.load()
            return _rgb(_upright(image))
    except FileNotFoundError as error:
        raise InputError(f"{name}: is not there") from error
    except UnidentifiedImageError as error:
        # Pillow's own message may name an object in memory.
        raise InputError(
            f"{name}: cannot be read as an image: its format is not known"
        ) from error
    except Exception as error:  # decoders raise many kinds on damaged bytes
        raise InputError(f"{name}: cannot be read as an image: {error}") from error


def _is_special(path: Path) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)  # neither ever raises


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data beside sound pixels
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return Image.fromarray(_eight_bit(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise ValueError("holds floating-point numbers, whose range is not known")
    if image.has_transparency_data:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, above).convert("RGB")
    return image.convert("RGB")


def _eight_bit(levels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Scale by the format's range and not the image's, so that dark stays dark."""
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(
            f"has levels from {levels.min()} to {levels.max()}; they must fit 16 bits"
        )
    return (levels / 257).round().astype(np.uint8)


def test_view(image: Image.Image, resize: int, size: int) -> NDArray[np.uint8]:
    """Short side to ``resize``, bicubic and antialiased, then the central square.

    Of an image more than 32 times as long as wide, the middle alone is scaled: all of
    a line of pixels would be gigabytes.

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
    """The image without far ends, its centre where it was."""
    longest = _MOST_SHORT_SIDES * min(image.size)
    left, top = (max(0, side - longest) // 2 for side in image.size)
    if not left and not top:
        return image
    return image.crop((left, top, image.width - left, image.height - top))


test_view.__test__ = False  # type: ignore[attr-defined]  # by its name a test's


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
    scaled = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
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
