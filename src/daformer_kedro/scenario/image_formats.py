"""File formats: what is read, and what looks like an image and is not."""

from __future__ import annotations

import os
from functools import cache

from PIL import Image, features

try:
    from pillow_heif import register_heif_opener
except ImportError:  # the extra heif is not installed
    _READS_HEIF = False
else:
    _READS_HEIF = True
    register_heif_opener()

_READ = (
    *("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP"),  # by far the most files
    *("AVIF", "HEIF", "JPEG2000"),
)
"""Formats that are read. Pillow knows more: EPS is a program for Ghostscript, IPTC may
hold a file of any other format, and rare ones have slow decoders in Python."""
_NO_IMAGES = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})  # data that Pillow lists too

_HEIF = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
_RAW = frozenset((
    ".3fr", ".ari", ".arw", ".bay", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf",
    ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef",
    ".nrw", ".orf", ".pef", ".ptx", ".r3d", ".raf", ".raw", ".rw2", ".rwl", ".sr2",
    ".srf", ".srw", ".x3f",
))  # fmt: skip
_OTHERS = frozenset((
    ".avif", ".avifs", ".bpg", ".dcm", ".dicom", ".emf", ".eps", ".exr", ".flif",
    ".hdp", ".hdr", ".jng", ".jxl", ".jxr", ".mng", ".mpo", ".pct", ".pict", ".ps",
    ".psb", ".svg", ".svgz", ".wdp", ".wmf", ".xcf",
))  # fmt: skip
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
)


@cache
def formats() -> tuple[str, ...]:
    """Names of the formats that are read here, for ``Image.open``, common ones first.

    A camera's MPO, several pictures in one file, is opened as the JPEG that it begins
    with.
    """
    Image.init()
    return tuple(name for name in _READ if name in Image.OPEN)


@cache
def image_suffixes() -> frozenset[str]:
    """Endings of names that an image may have, in small letters with their dot.

    These are those of every format that Pillow knows, read here or not, and of others,
    among them the raw formats of cameras: nobody would notice an image that is left
    out silently.
    """
    Image.init()
    known = set(Image.OPEN) - _NO_IMAGES
    found = {s for s, name in Image.registered_extensions().items() if name in known}
    return frozenset(found | _HEIF | _RAW | _OTHERS)


def suffix_of(name: str) -> str:
    """The ending of a file's name, in small letters with its dot; empty without one."""
    return os.path.splitext(name)[1].lower()


def is_image_name(name: str) -> bool:
    """Return whether a file is named like an image, and is not hidden."""
    return suffix_of(name) in image_suffixes() and not name.startswith(".")


def is_raw(image: Image.Image, name: str) -> bool:
    """Return whether an opened file is a camera's raw format.

    Many of these begin as a TIFF with a small preview, which is not the photograph.
    """
    if image.format != "TIFF":
        return False
    dng_version = 50706
    return suffix_of(name) in _RAW or dng_version in getattr(image, "tag_v2", ())


def why_unknown(start: bytes, name: str) -> str:
    """Explain why a file of no known format is not read.

    Args:
        start: the first 12 bytes of the file.
        name: its name.
    """
    suffix = suffix_of(name)
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS and not _READS_HEIF:
        return "it is HEIC, which pip install 'daformer_kedro[heif]' makes readable"
    if suffix in _RAW:
        return RAW_REASON
    if suffix.startswith(".avif") and not features.check("avif"):
        return "this build of Pillow does not read AVIF"
    if suffix in image_suffixes() and not _is_read(suffix):
        return f"{suffix} is not read; convert it to JPEG, PNG or TIFF"
    return "its format is not known"


def _is_read(suffix: str) -> bool:
    kind = Image.registered_extensions().get(suffix)
    return suffix in _HEIF or kind in (*formats(), "MPO")


RAW_REASON = "it is a camera's raw format; convert it to JPEG, PNG or TIFF"
