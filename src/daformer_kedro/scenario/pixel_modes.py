"""Pixels of any mode as 8-bit RGB: deep, transparent, grey, with a colour profile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from daformer_kedro.scenario.colour_profiles import to_srgb

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")  # Pillow may hold 16 bits in 32
_GREY = ("1", "L", "LA")
_PIXELS_AT_ONCE = 1 << 21


def scale_transparent_colour(image: ImageFile.ImageFile) -> None:
    """Give a transparent colour the depth that the pixels will have, before decoding.

    A PNG names it in its own depth, while Pillow makes 8 bits of 2, of 4, and of 16 a
    channel. Of 16 bits the upper half is left, of the pixels too.
    """
    colour = image.info.get("transparency")
    kind = str(image.tile[0].args) if image.tile else ""
    if isinstance(colour, int) and kind in ("L;2", "L;4"):
        image.info["transparency"] = colour * {"L;2": 85, "L;4": 17}[kind]
    elif isinstance(colour, tuple) and kind == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in colour)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image, whatever its mode, to opaque RGB in sRGB.

    A large one is converted some rows at a time: on the way a transparent image takes
    28 bytes per pixel, beside 4 before and 4 after.

    Raises:
        ValueError: the range of its levels is not known, or beyond 16 bits.
    """
    if image.mode in _SIXTEEN_BIT:
        _check_range(image)
    if image.mode == "F":
        raise ValueError("holds floating-point numbers, whose range is not known")
    width, height = image.size
    num_rows = max(1, _PIXELS_AT_ONCE // width)
    if num_rows >= height:
        return _opaque(image)
    result = Image.new("RGB", image.size)
    for top in range(0, height, num_rows):
        rows = image.crop((0, top, width, min(height, top + num_rows)))
        result.paste(_opaque(rows), (0, top))
    return result


def _opaque(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in _SIXTEEN_BIT:
        image = _eight_bit(image)
    alpha = None
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        alpha = whole.getchannel("A")
        image = whole.convert("L" if image.mode in _GREY else "RGB")
    opaque = to_srgb(image, profile)
    opaque.info.clear()  # what it says is applied
    return opaque if alpha is None else _on_white(opaque, alpha)


def _on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    above = image.convert("RGBA")
    above.putalpha(alpha)
    white = Image.new("RGBA", above.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, above).convert("RGB")


def _check_range(image: Image.Image) -> None:
    levels: NDArray[np.integer] = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(
            f"has levels from {levels.min()} to {levels.max()}; they must fit 16 bits"
        )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey, with alpha where one level means transparent.

    Levels are scaled by the format's range and not the image's, so that dark stays
    dark.
    """
    levels: NDArray[np.integer] = np.asarray(image)
    grey = Image.fromarray((levels / 257).round().astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        visible = np.where(levels == transparent, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(visible))
    return grey
