"""Checks that files are images, and that no test image is a training image."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import signal
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.decoder_messages import collect_messages
from daformer_kedro.scenario.image_decoding import open_rgb, refuse_special
from daformer_kedro.scenario.image_formats import formats

_LOGGER = logging.getLogger(__name__)
# By whether a check costs milliseconds, as decoding does, and not microseconds.
_FEW_FILES = {False: 2000, True: 100}  # starting processes would take longer
_FILES_PER_CHUNK = {False: 512, True: 32}  # per process at a time
_NUM_TAIL = 512  # last bytes, which differ in almost all files of one size
# Last bytes of a complete file; a file that ends otherwise is decoded.
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def find_faults(root: Path, paths: Sequence[str], decode: bool) -> dict[str, str]:
    """Find files that cannot be read as images.

    Args:
        root: folder that the paths start from.
        paths: relative paths.
        decode: decode every file; otherwise only check its beginning and its end, which
            finds files that are cut off, empty or not images.

    Returns:
        The reason for each file that has a fault.
    """
    return find_reasons(partial(_fault, root, decode), paths, costly=decode)


def find_reasons(
    check: Callable[[str], str | None], paths: Sequence[str], *, costly: bool
) -> dict[str, str]:
    """Find the paths for which ``check`` gives a reason, on all cores.

    Args:
        check: can be sent to another process.
        paths: relative paths.
        costly: takes milliseconds and not microseconds, as decoding does.
    """
    cores = os.cpu_count() or 1
    if len(paths) <= _FEW_FILES[costly] or cores == 1:
        reasons = map(check, paths)
        return {p: r for p, r in zip(paths, reasons, strict=True) if r is not None}
    # Ctrl+C goes to all processes; the parent ends the others.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    context = multiprocessing.get_context("forkserver")
    with context.Pool(cores, signal.signal, ignore) as pool:
        found = pool.imap(check, paths, chunksize=_FILES_PER_CHUNK[costly])
        return {p: r for p, r in zip(paths, found, strict=True) if r is not None}


def _fault(root: Path, decode: bool, path: str) -> str | None:
    file = root / path
    try:
        refuse_special(file, str(file))
        if not decode and _looks_whole(file):
            return None
        open_rgb(file)
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")
    return None


def _looks_whole(file: Path) -> bool:
    """Return whether a file begins and ends like an image."""
    try:
        with warnings.catch_warnings(), collect_messages():
            warnings.simplefilter("ignore")  # of many pixels, none of which is decoded
            with Image.open(file, formats=formats()) as image:
                kind = image.format or ""
        end = _ENDS.get(kind)
        if end is None:
            return False
        with file.open("rb") as stream:
            stream.seek(-len(end), os.SEEK_END)
            return stream.read() == end
    except Exception:  # Pillow's parsers raise many kinds on damaged bytes
        return False


def warn_of_duplicates(root: Path, train: Sequence[str], test: Sequence[str]) -> int:
    """Warn of test files that are training files too, byte for byte.

    Files of the same size and the same last bytes are read whole and compared. Hardly
    any are, even among millions of files of few sizes: most cost a read of the last
    bytes, some 20 µs.

    Returns:
        The number of such test files.
    """
    groups = _shared(partial(_num_bytes, root), train, test)
    groups = [
        part for group in groups for part in _shared(partial(_tail, root), *group)
    ]
    doubles = [
        path
        for group in groups
        for _, in_test in _shared(partial(_digest, root), *group)
        for path in in_test
    ]
    if doubles:
        _LOGGER.warning(
            "%s: %d test images are training images too, and flatter the accuracy: %s",
            root,
            len(doubles),
            ", ".join(doubles[:5]) + (" …" if len(doubles) > 5 else ""),
        )
    return len(doubles)


def _shared(
    key: Callable[[str], Hashable], train: Sequence[str], test: Sequence[str]
) -> list[tuple[list[str], list[str]]]:
    """Group files by a key, and keep the groups with files of both splits."""
    groups = defaultdict[Hashable, tuple[list[str], list[str]]](lambda: ([], []))
    for place, paths in enumerate((train, test)):
        for path in paths:
            groups[key(path)][place].append(path)
    return [(a, b) for a, b in groups.values() if a and b]


def _num_bytes(root: Path, path: str) -> int:
    return os.stat(f"{root}/{path}").st_size


def _tail(root: Path, path: str) -> int:
    with open(f"{root}/{path}", "rb", buffering=0) as stream:
        stream.seek(max(stream.seek(0, os.SEEK_END) - _NUM_TAIL, 0))
        return hash(stream.read(_NUM_TAIL))


def _digest(root: Path, path: str) -> bytes:
    with open(root / path, "rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()
