"""A folder on this machine's own disk, for what other machines do not need."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from daformer_kedro.errors import InputError
from daformer_kedro.storage.atomic_files import (
    remove_leftovers,
    replace_atomically,
    temporary_sibling,
    write_text,
)

_NOTES = "scratch"
_COPIES = "copies"
_NUM_DIGITS = 16


def scratch_of(project: Path, setting: str | None) -> Path | None:
    """Return a project's folder below ``cache.scratch``; ``None`` where it is unset.

    Projects that share the setting have folders of their own.

    Args:
        project: its root, from which a relative path starts.
        setting: the path.

    Raises:
        InputError: it is a URL.
    """
    if setting is None:
        return None
    if "://" in setting:
        raise InputError(
            f"cache.scratch = {setting!r}: allowed: a folder on this machine's own "
            "disk, or null. Results are copied to where cache.store says"
        )
    project = project.resolve()
    digest = hashlib.sha256(str(project).encode()).hexdigest()[:8]
    folder = (project / Path(setting).expanduser()).resolve()
    return folder / f"{project.name}-{digest}"


def open_scratch(folder: Path, journal: Path) -> None:
    """Make the folder, tidy it, and note where it is for whoever cleans up.

    Args:
        folder: see :func:`scratch_of`.
        journal: folder of the project's notes.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        (folder / _COPIES).mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder / _COPIES, is_ours=False)
    except OSError as error:
        raise InputError(
            f"cache.scratch = {str(folder.parent)!r}: cannot be written: "
            f"{error.strerror}. Allowed: a folder on this machine's own disk, or null"
        ) from error
    known = noted_scratch(journal)
    if folder not in known:
        write_text(journal / _NOTES, "".join(f"{path}\n" for path in [*known, folder]))


def noted_scratch(journal: Path) -> list[Path]:
    """Return every scratch folder that runs have used, on any machine."""
    try:
        lines = (journal / _NOTES).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [Path(line) for line in lines]


def local_copy(stored: Path, sha256: str, scratch: Path) -> Path:
    """Return a copy of a stored folder on this machine's disk, made at first use.

    Args:
        stored: the folder.
        sha256: its checksum, which names the copy: what is stored later has another.
        scratch: see :func:`scratch_of`.

    Raises:
        OSError: it cannot be written.
    """
    copy = scratch / _COPIES / sha256[:_NUM_DIGITS] / stored.name
    if not copy.exists():
        with temporary_sibling(copy.parent) as written:
            shutil.copytree(stored, written / stored.name)
            try:
                replace_atomically(written, copy.parent)
            except OSError:
                if not copy.exists():  # another process may have put it there
                    raise
    return copy


def remove_copies(scratch: Path, *, but: Iterable[str]) -> None:
    """Remove copies of what is not stored any more.

    Args:
        scratch: see :func:`scratch_of`.
        but: checksums of what is.
    """
    kept = {sha256[:_NUM_DIGITS] for sha256 in but}
    for folder in (scratch / _COPIES).glob("*"):
        if folder.name not in kept and not folder.name.startswith("."):
            shutil.rmtree(folder)
