"""Writing whole files or none: a temporary name, a flush to the disk, a rename."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".part"


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A path in a temporary folder beside ``target``, which goes with the block.

    The file name stays, since some writers choose the format by its suffix. The
    folder's name holds the process, so that a later one can tell what a killed one
    left: see :func:`remove_leftovers`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    folder = target.parent / f".{target.name}.{os.getpid()}.{token}{_SUFFIX}"
    folder.mkdir()
    try:
        yield folder / target.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(written: Path, target: Path) -> None:
    """Flush what was written :func:`beside` the target, then rename it over."""
    flush(written)
    if target.is_dir():
        # A folder cannot be renamed over another: the former one steps aside first.
        target.rename(written.parent / f"{target.name}.replaced")
    os.replace(written, target)
    _flush_entries(target.parent)
    _flush_entries(target.parent.parent)


def write_text(target: Path, text: str) -> None:
    """Write a small text file whole.

    Raises:
        OSError: it could not be written; what was there before is still there.
    """
    with beside(target) as written:
        written.write_text(text, encoding="utf-8")
        put_in_place(written, target)


def remove_leftovers(folder: Path, *, is_ours: bool) -> None:
    """Remove what killed processes left half-written in ``folder``.

    Args:
        folder: need not exist.
        is_ours: whether no other process may write there (its lock is held); elsewhere
            only what dead processes of this machine left goes.
    """
    for part in folder.glob(f".*{_SUFFIX}"):
        pid = part.name.split(".")[-3]
        if is_ours or not (pid.isdecimal() and is_alive(int(pid))):
            shutil.rmtree(part, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine has that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def flush(path: Path) -> None:
    """Make sure that a file, or every file of a folder, is on the disk."""
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for folder in {file.parent for file in files}:
        _flush_entries(folder)


def _flush_entries(folder: Path) -> None:
    # Without this a power cut can undo a rename. Not every file system offers it.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
