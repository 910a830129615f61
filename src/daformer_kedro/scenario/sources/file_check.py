"""Whether image files are whole, at a cost that suits millions of them."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import open_rgb

_CHUNK = 1000  # files a worker takes at once
_FEW = 2000  # below this many files, starting processes takes longer than decoding
_NUM_THREADS = 8
_NUM_HEAD, _NUM_TAIL = 16, 512  # bytes read of each file


@dataclass(frozen=True, eq=False)
class FileEnds:
    """What a look at the beginning and the end of each file tells.

    Attributes:
        num_bytes: (N,) int64.
        tail: hash of the last bytes, (N,) uint64.
        sound: whether beginning and end are those of a whole image, (N,) bool; false
            where only decoding can tell.
    """

    num_bytes: NDArray[np.int64]
    tail: NDArray[np.uint64]
    sound: NDArray[np.bool_]


def read_ends(root: Path, paths: NDArray[np.str_]) -> FileEnds:
    """Look at the ends of files, by threads: the time goes into waiting for the disk.

    Args:
        root: folder that the paths start from.
        paths: (N,) relative paths.

    Raises:
        InputError: a file cannot be read.
    """
    num_bytes = np.empty(len(paths), np.int64)
    tail = np.empty(len(paths), np.uint64)
    sound = np.empty(len(paths), np.bool_)
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        chunks = pool.map(partial(_read_ends, str(root)), _chunks(paths))
        for number, ends in enumerate(chunks):
            rows = slice(number * _CHUNK, number * _CHUNK + len(ends))
            num_bytes[rows], tail[rows], sound[rows] = zip(*ends, strict=True)
    return FileEnds(num_bytes, tail, sound)


def find_damaged(root: Path, paths: NDArray[np.str_]) -> dict[int, str]:
    """Decode files, in a pool of processes where there are many, and keep nothing.

    Returns:
        Row and reason of each file that cannot be decoded.
    """
    decode = partial(_decode_all, root)
    if len(paths) < _FEW:
        return dict(decode((0, paths.tolist())))
    numbered = ((number * _CHUNK, chunk) for number, chunk in enumerate(_chunks(paths)))
    # Spawned, not forked: the parent may hold threads and locks of other libraries.
    context = multiprocessing.get_context("spawn")
    num_workers = os.cpu_count() or 1
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        return {
            row: reason
            for faults in pool.map(decode, numbered)
            for row, reason in faults
        }


def _chunks(paths: NDArray[np.str_]) -> Iterator[list[str]]:
    for start in range(0, len(paths), _CHUNK):
        yield paths[start : start + _CHUNK].tolist()


def _decode_all(
    root: Path, numbered: tuple[int, Sequence[str]]
) -> list[tuple[int, str]]:
    start, paths = numbered
    faults = []
    for row, path in enumerate(paths, start):
        try:
            open_rgb(root / path)
        except InputError as error:
            faults.append((row, str(error).removeprefix(f"{root / path}: ")))
    return faults


def _read_ends(root: str, paths: list[str]) -> list[tuple[int, int, bool]]:
    return [_ends_of(f"{root}/{path}") for path in paths]


def _ends_of(path: str) -> tuple[int, int, bool]:
    try:
        with open(path, "rb", buffering=0) as stream:
            head = stream.read(_NUM_HEAD)
            num_bytes = stream.seek(0, os.SEEK_END)
            stream.seek(max(num_bytes - _NUM_TAIL, 0))
            tail = stream.read(_NUM_TAIL)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    digest = hashlib.blake2b(tail, digest_size=8).digest()
    return num_bytes, int.from_bytes(digest), _looks_whole(head, tail, num_bytes)


def _looks_whole(head: bytes, tail: bytes, num_bytes: int) -> bool:
    """Whether first and last bytes are those of one format; cameras may append some."""
    if head.startswith(b"\xff\xd8\xff"):  # JPEG, and its end-of-image marker
        return b"\xff\xd9" in tail
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" in tail
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 <= num_bytes
    return False
