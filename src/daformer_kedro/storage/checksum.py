"""Checksums of files and folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

_Signature = tuple[tuple[str, int, int, int, int], ...]
_known: dict[Path, tuple[_Signature, str]] = {}


def checksum(path: Path) -> str:
    """Return SHA-256 of a file, or of a folder's file names and their contents.

    Read once a process and again when size or times have changed. A write that sets
    the old times again still changes the inode's own.

    Raises:
        OSError: it is missing or cannot be read.
    """
    path = path.absolute()
    signature = _signature(path)
    known = _known.get(path)
    if known is None or known[0] != signature:
        known = (signature, _digest(path))
        _known[path] = known
    return known[1]


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in _files(path))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path]


def _signature(path: Path) -> _Signature:
    entries = []
    for file in _files(path):
        facts = file.stat()
        name = file.relative_to(path).as_posix()
        times = (facts.st_mtime_ns, facts.st_ctime_ns)
        entries.append((name, facts.st_ino, facts.st_size, *times))
    return tuple(entries)


def _digest(path: Path) -> str:
    if not path.is_dir():
        return _digest_of_file(path)
    whole = hashlib.sha256()
    for file in _files(path):
        name = file.relative_to(path).as_posix()
        whole.update(f"{name}\0{_digest_of_file(file)}\n".encode())
    return whole.hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
