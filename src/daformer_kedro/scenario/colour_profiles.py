"""Conversion of colours to sRGB through a file's profile (ICC)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_MODES = {
    "RGB": ("RGB", ("1", "L", "P", "RGB", "YCbCr")),
    "GRAY": ("L", ("1", "L")),
    "CMYK": ("CMYK", ("CMYK",)),
}
"""For a profile's colours, the mode it is applied to, and the modes it may be in."""


_MOST_BYTES = 4 << 20  # of a profile; those of presses take up to 3 MiB


@dataclass(unsafe_hash=True)
class _Profile:
    """A profile as a key: its content counts by its digest, and need not be kept."""

    digest: bytes
    content: bytes = field(compare=False, repr=False)


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
        key = _Profile(hashlib.sha256(profile).digest(), profile)
        found = _transform(key, image.mode)
        key.content = b""  # it may be a thousand times as large as what is made of it
    if found is None:
        return image.convert("RGB")
    mode, transform = found
    return transform.apply(image.convert(mode))


@lru_cache(maxsize=16)
def _transform(
    profile: _Profile, mode: str
) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile.content))
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
