"""Conversion of colours to sRGB through a file's profile (ICC)."""

from __future__ import annotations

import hashlib
import io
import threading

import numpy as np
from cachetools import LRUCache, cached
from PIL import Image, ImageCms

_MODES = {
    "RGB": ("RGB", ("1", "L", "P", "RGB", "YCbCr")),
    "GRAY": ("L", ("1", "L")),
    "CMYK": ("CMYK", ("CMYK",)),
}
"""For a profile's colours, the mode it is applied to, and the modes it may be in."""

_MOST_BYTES = 4 << 20  # of a profile; those of presses take up to 3 MiB


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an opaque image to RGB, through its profile if it has one.

    A profile that is damaged, belongs to another mode or is larger than 4 MiB is
    ignored. The intent is perceptual, as Pillow's ``ImageCms`` has it by default.

    Args:
        image: of 8 bits per channel.
        profile: the ICC profile that came with it.
    """
    found = None
    if profile and len(profile) <= _MOST_BYTES:
        found = _transform(profile, image.mode)
    if found is None:
        return image.convert("RGB")
    mode, transform = found
    return transform.apply(image.convert(mode))


# By digest: a profile may be a thousand times as large as what is made of it.
@cached(
    LRUCache(maxsize=16),
    key=lambda profile, mode: (hashlib.sha256(profile).digest(), mode),
    lock=threading.Lock(),
    info=True,
)
def _transform(
    profile: bytes, mode: str
) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colours = source.profile.xcolor_space.strip()
        applied_to, modes = _MODES.get(colours, ("", ()))
        if mode not in modes:
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), applied_to, "RGB"
        )
        assert isinstance(transform, ImageCms.ImageCmsTransform)
    except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile
        return None
    return None if _is_srgb(applied_to, transform) else (applied_to, transform)


def _is_srgb(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transform changes no colour by more than one level.

    Most photographs come with a profile, and in most of them it is that of sRGB.
    """
    if mode != "RGB":
        return False
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
    changed = np.asarray(transform.apply(Image.fromarray(colours)))
    return bool(np.abs(changed.astype(int) - colours).max() <= 1)
