"""Whether files can be read as images, and whether test images are training images."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import open_rgb

_LOGGER = logging.getLogger(__name__)
_FEW_FILES = 2000  # starting processes would take longer than looking at these
_FILES_A_CHUNK = 512
_MOST_CANDIDATES = 50_000
# What the last bytes of a whole file are; a file that ends otherwise is decoded.
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def find_faults(root: Path, paths: Sequence[str], decode: bool) -> dict[str, str]:
    """Files that cannot be read as images.

    Args:
        root: folder that the paths start from.
        paths: relative paths.
        decode: decode every file; otherwise only look at its beginning and its end,
            which finds what is cut off, empty or no image.

    Returns:
        The reason for each file that has a fault.
    """
    check = partial(_fault, root, decode)
    cores = os.cpu_count() or 1
    if len(paths) <= _FEW_FILES or cores == 1:
        reasons = map(check, paths)
        return {p: r for p, r in zip(paths, reasons, strict=True) if r is not None}
    with multiprocessing.get_context("forkserver").Pool(cores) as pool:
        found = pool.imap(check, paths, chunksize=_FILES_A_CHUNK)
        return {p: r for p, r in zip(paths, found, strict=True) if r is not None}


def _fault(root: Path, decode: bool, path: str) -> str | None:
    file = root / path
    try:
        if not decode and _looks_whole(file):
            return None
        open_rgb(file)
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")
    except Exception as error:  # Pillow's parsers raise many kinds on damaged bytes
        return f"cannot be read as an image: {error}"
    return None


def _looks_whole(file: Path) -> bool:
    with Image.open(file) as image:
        kind = image.format or ""
    end = _ENDS.get(kind)
    if end is None:
        return False
    with file.open("rb") as stream:
        stream.seek(-len(end), os.SEEK_END)
        return stream.read() == end


def warn_of_duplicates(root: Path, train: Sequence[str], test: Sequence[str]) -> int:
    """Say how many test files are training files too, byte for byte.

    Files of the same size are compared by their content. Where too many have the same
    size the comparison would take longer than reading the data set: it is left out.

    Returns:
        The number of such test files.
    """
    sizes = defaultdict[int, tuple[list[str], list[str]]](lambda: ([], []))
    for place, paths in enumerate((train, test)):
        for path in paths:
            sizes[(root / path).stat().st_size][place].append(path)
    groups = [(a, b) for a, b in sizes.values() if a and b]
    if sum(len(a) + len(b) for a, b in groups) > _MOST_CANDIDATES:
        _LOGGER.info("%s: not searched for images in both splits: too many", root)
        return 0
    doubles = []
    for in_train, in_test in groups:
        known = {_digest(root / path) for path in in_train}
        doubles += [path for path in in_test if _digest(root / path) in known]
    if doubles:
        _LOGGER.warning(
            "%s: %d test images are training images too, and flatter the accuracy: %s",
            root,
            len(doubles),
            ", ".join(doubles[:5]) + (" …" if len(doubles) > 5 else ""),
        )
    return len(doubles)


def _digest(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes()).digest()
