"""Pictures of the demo page: pixels enlarged, attention laid over them, photographs."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daformer_kedro.scenario.prepared_image import shrink

_LEAST_SIDE = 192
_HEAT = (255, 150, 0)
_MOST_HEAT = 0.8
_DIMMED = 0.35


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of pixels (H, W, C), as they are."""
    return _encode(_image(pixels), "PNG")


def enlarged(pixels: NDArray[np.uint8]) -> str:
    """Data address of an image, its pixels as squares where they are few."""
    return _address(_enlarge(pixels), "PNG")


def attention_overlay(pixels: NDArray[np.uint8], shares: NDArray[Any]) -> str:
    """Data address of the image in grey, the warmer the more attention a place gets.

    Colours reach from the least share to the most. Where these differ by less than the
    mean share they stay pale, so that even attention is not made to look like a choice.

    Args:
        pixels: (H, W, C).
        shares: (h, w), one per patch.
    """
    image = _enlarge(pixels)
    spread = shares - shares.min()
    level = spread / max(float(spread.max()), float(shares.mean()), 1e-12)
    mask = Image.fromarray((255 * _MOST_HEAT * level).astype(np.uint8))
    grey = image.convert("L").point(lambda value: int(0.75 * value)).convert("RGB")
    heat = Image.new("RGB", image.size, _HEAT)
    smooth = mask.resize(image.size, Image.Resampling.BILINEAR)
    return _address(Image.composite(heat, grey, smooth), "PNG")


def photograph(image: Image.Image, share_seen: float) -> str:
    """Data address of a photograph, dimmed around the square that the network reads.

    Args:
        image: RGB, upright, of any size.
        share_seen: side of the square, as a share of the image's short side.
    """
    small = shrink(image)
    side = max(1, round(share_seen * min(small.size)))
    left, top = ((length - side) // 2 for length in small.size)
    shown = Image.blend(Image.new("RGB", small.size), small, _DIMMED)
    box = (left, top, left + side, top + side)
    shown.paste(small.crop(box), box)
    return _address(shown, "JPEG")


def _enlarge(pixels: NDArray[np.uint8]) -> Image.Image:
    image = _image(pixels)
    scale = math.ceil(_LEAST_SIDE / min(image.size))
    size = (scale * image.width, scale * image.height)
    return image.resize(size, Image.Resampling.NEAREST)


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _address(image: Image.Image, kind: str) -> str:
    text = base64.b64encode(_encode(image, kind)).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"


def _encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
