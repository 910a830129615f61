"""Fingerprints of folders with any number of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def describe_files(path: Path) -> str | None:
    """Digest of names, sizes and times below ``path``; ``None`` if it is not there.

    Data that is not there at the moment does not make what was read from it wrong.
    No file is opened, and memory holds the names of one folder at a time: a million
    files take some 10 s.
    """
    if not path.exists():
        return None
    whole = hashlib.sha256()
    found = (
        _below(os.fsencode(path), b"", ()) if path.is_dir() else [(b"", path.stat())]
    )
    for name, status in found:
        whole.update(b"%s\0%d %d\n" % (name, status.st_size, status.st_mtime_ns))
    return whole.hexdigest()


def _below(
    folder: bytes, prefix: bytes, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Files in order of their names; links are followed, but not in circles.

    Names are bytes, since they need not be UTF-8 and whoever reads them says so better.
    What cannot be listed is left to the reader too.
    """
    try:
        here = os.stat(folder)
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    inode = (here.st_dev, here.st_ino)
    if inode in above:
        return
    for entry in listed:
        name = prefix + entry.name
        if entry.is_dir():
            yield from _below(entry.path, name + b"/", (*above, inode))
        elif entry.is_file():
            yield name, entry.stat()
