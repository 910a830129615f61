"""Images that a person names: a file, a folder, or a table of paths."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_tree import SUFFIXES

_TABLES = (".csv", ".tsv", ".txt")
_COLUMNS = ("image", "path", "file", "filename")


def find_images(given: Path) -> list[Path]:
    """The files that ``given`` stands for, in a fixed order.

    Args:
        given: an image; a folder, of which all images are taken, those in folders
            below too; or a table of paths (``.csv``, ``.tsv``, ``.txt``). A table's
            paths stand in the column ``image``, ``path``, ``file`` or ``filename``,
            or in the first column if it has no header; relative ones start at the
            table's folder. Files that a table names need not be there.

    Raises:
        InputError: nothing is there, it holds no image, or it is no table.
    """
    # Unlike Path's, these take a name that is too long for one that is not there.
    if os.path.isdir(given):
        found = _in_folder(given)
    elif not os.path.exists(given):
        raise InputError(f"{given}: is not there; give a file, a folder or a CSV")
    elif given.suffix.lower() in _TABLES:
        found = _in_table(given)
    else:
        return [given]
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise InputError(f"{given}: holds no image ({kinds})")
    return found


def shown(path: Path) -> str:
    """A path as text that can be written anywhere, whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _in_folder(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if suffix in SUFFIXES and not name.startswith("."):
                found.append(Path(parent, name))
    return found


def _in_table(path: Path) -> list[Path]:
    suffix = path.suffix.lower()
    try:
        # Not str.splitlines: it also splits at characters that names may hold.
        lines = io.StringIO(path.read_text(encoding="utf-8-sig"))
        if suffix == ".txt":
            rows = [[line] for line in lines]
        else:
            delimiter = "\t" if suffix == ".tsv" else ","
            rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    rows = [[cell.strip() for cell in row] for row in rows]
    rows = [row for row in rows if any(row)]
    if not rows:
        return []
    header = [name.lower() for name in rows[0]]
    column = next((header.index(name) for name in _COLUMNS if name in header), None)
    if column is not None:
        rows = rows[1:]
    elif len(header) > 1 and not any(name.endswith(tuple(SUFFIXES)) for name in header):
        raise InputError(
            f"{path}: has no column {', '.join(_COLUMNS[:-1])} or {_COLUMNS[-1]}, and "
            f"its first row names no image: {', '.join(rows[0])}"
        )
    place = column or 0
    return [path.parent / row[place] for row in rows if len(row) > place and row[place]]
