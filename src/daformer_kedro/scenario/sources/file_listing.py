"""Class folders and the image files in them, listed without opening any file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError

IMAGE_SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of the files that count as images, in either case; others are passed over."""


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder, sorted, hidden ones left out.

    Raises:
        InputError: the folder is missing, cannot be read or holds none.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir()
            )
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror}") from error
    if not names:
        raise InputError(f"{folder}: holds no class folder")
    for name in names:
        _check_name(folder, name)
    return tuple(names)


def list_images(root: Path, folder: str) -> NDArray[np.str_]:
    """List the image files of one class, also in folders below it, sorted.

    Hidden files and folders, and files that have no ending of
    :data:`IMAGE_SUFFIXES`, are passed over. Links are followed. One core lists some
    200,000 files a second.

    Args:
        root: folder that the paths start from.
        folder: the class's folder, relative to ``root``.

    Returns:
        Relative POSIX paths, one at least.

    Raises:
        InputError: there is no image, a name is not valid Unicode, or links go round
            in a circle.
    """
    found: list[str] = []
    _collect(root, folder, found, ())
    if not found:
        raise InputError(
            f"{root / folder}: holds no image (a name must end in "
            f"{', '.join(IMAGE_SUFFIXES)})"
        )
    return np.array(sorted(found))


def _collect(
    root: Path, folder: str, found: list[str], above: tuple[tuple[int, int], ...]
) -> None:
    try:
        status = os.stat(root / folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise InputError(f"{root / folder}: is a link to a folder that it lies in")
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = f"{folder}/{entry.name}"
                is_image = entry.name.lower().endswith(IMAGE_SUFFIXES)
                if is_image and entry.is_file():
                    _check_name(root / folder, entry.name)
                    found.append(path)
                elif entry.is_dir():
                    _check_name(root / folder, entry.name)
                    _collect(root, path, found, (*above, identity))
                elif is_image:
                    raise InputError(f"{root / path}: is a link to nothing")
    except OSError as error:
        raise InputError(
            f"{root / folder}: cannot be listed: {error.strerror}"
        ) from error


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode(errors="surrogateescape")
        raise InputError(
            f"{folder}: the name {shown!r} is not valid UTF-8; rename it"
        ) from None
