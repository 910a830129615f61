"""Smaller copies of large images, made once and read in their place."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import open_rgb
from daformer_kedro.scenario.sources.file_checks import find_reasons

_QUALITY = 95
_SUFFIX = ".jpg"
_LONGEST_NAME = 255  # bytes
_COLOURS = "sRGB"  # in the note, since copies were made without it once


def copy_name(path: str) -> str:
    """Return the name of an image's copy, which keeps the suffix: no two share one.

    Where it is longer than file systems allow, a digest of the name replaces its end.
    """
    folder, slash, name = path.rpartition("/")
    whole = name.encode()
    if len(whole) + len(_SUFFIX) > _LONGEST_NAME:
        digest = hashlib.sha256(whole).hexdigest()[:32]
        room = _LONGEST_NAME - len(_SUFFIX) - len(digest) - 1
        name = f"{whole[:room].decode(errors='ignore')}.{digest}"
    return f"{folder}{slash}{name}{_SUFFIX}"


def make_copies(
    root: Path, paths: Sequence[str], copies: Path, size: int
) -> dict[str, str]:
    """Copy images as upright RGB JPEG whose short side has at most ``size`` pixels.

    A copy notes the bytes and the time of its image, and is made again when these have
    changed. One that is up to date stays, so that an interrupted run resumes, and only
    new images cost time.

    Args:
        root: folder that the paths start from.
        paths: relative paths.
        copies: folder of the copies, in the same folders below it.
        size: pixels of the short side; smaller images keep their size.

    Returns:
        The reason for each image that cannot be read; it has no copy.

    Raises:
        InputError: a copy cannot be written; it is named.
    """
    return find_reasons(partial(_copy, root, copies, size), paths, costly=True)


def _copy(root: Path, copies: Path, size: int, path: str) -> str | None:
    file, copy = root / path, copies / copy_name(path)
    try:
        stat = file.stat()
        note = f"{stat.st_size} {stat.st_mtime_ns} {_COLOURS}".encode()
        if _note_of(copy) == note:
            return None
        image = open_rgb(file)
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")
    except OSError as error:
        return f"cannot be read as an image: {error}"
    try:
        _write(_shrunk(image, size), copy, note)
    except OSError as error:
        raise InputError(f"{copy}: cannot be written: {error}") from error
    return None


def _note_of(copy: Path) -> bytes | None:
    try:
        with Image.open(copy, formats=("JPEG",)) as image:
            return image.info.get("comment")
    except OSError:
        return None


def _shrunk(image: Image.Image, size: int) -> Image.Image:
    short = min(image.size)
    if short <= size:
        return image
    width, height = (side * size // short for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _write(image: Image.Image, copy: Path, note: bytes) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    written = copy.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with written.open("wb") as stream:
            # colours at full resolution: images this small have none to spare
            image.save(stream, "JPEG", quality=_QUALITY, subsampling=0, comment=note)
        os.replace(written, copy)
    finally:
        written.unlink(missing_ok=True)
