"""Tables of paths as people have them: from a spreadsheet, with a header or without."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import refuse_special
from daformer_kedro.scenario.image_formats import is_image_name

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
_COLUMNS = ("image", "path", "file", "filename")
_MANY = "its first row names images in several columns"
_NO_IMAGE = "its first row names no image"
_DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",)}


def read_paths(path: Path) -> list[Path]:
    """Read the paths in a table; relative ones start at the table's folder.

    A ``.txt`` has one path per line. Cells of a ``.csv`` are separated by commas,
    semicolons or tabs. Paths stand in the column ``image``, ``path``, ``file`` or
    ``filename``; without a header, in the one column whose first cell is named like an
    image, or in the only one.

    Raises:
        InputError: it is not a table in UTF-8, or its column of paths is not clear.
    """
    refuse_special(path, str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: cannot be read as a table: it is not UTF-8; save it as such"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    suffix = path.suffix.lower()
    if suffix == ".txt":
        # Not str.splitlines: it also splits at characters that names may hold.
        cells = [line.strip() for line in io.StringIO(text)]
    else:
        cells = _column(path, text, _DELIMITERS[suffix])
    return [_on_disk(path.parent / cell) for cell in cells if cell]


def _on_disk(path: Path) -> Path:
    """The path as the file system has it: an é there may be an e and an accent."""
    forms = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
    return next((p for p in (path, *forms) if os.path.exists(p)), path)


def _column(path: Path, text: str, delimiters: Sequence[str]) -> list[str]:
    """The cells of the column of paths."""
    first, _, rest = text.partition("\n")
    if first.strip().lower() in {f"sep={d}" for d in delimiters}:  # Excel's own line
        text, delimiters = rest, first.strip()[-1:]
    tables = [_rows(path, text, delimiter) for delimiter in delimiters]
    if not tables[0]:
        return []
    named = _under_header(tables)
    if named is not None:
        return named
    for rows, delimiter in zip(tables, delimiters, strict=True):
        others = set(delimiters) - {delimiter}
        places = [n for n, cell in enumerate(rows[0]) if _is_path(path, cell, others)]
        if len(places) > 1:
            _refuse(path, rows[0], _MANY)
        if places:
            return [row[places[0]] for row in rows if len(row) > places[0]]
    rows = tables[0]
    if all(len(table[0]) == 1 for table in tables) or _is_image(rows[0][0]):
        return [row[0] for row in rows]
    return _refuse(path, max(tables, key=lambda t: len(t[0]))[0], _NO_IMAGE)


def _under_header(tables: Sequence[list[list[str]]]) -> list[str] | None:
    """Cells of the column that a header names; ``None`` without such a header."""
    for rows in tables:
        header = [name.lower() for name in rows[0]]
        known = next((header.index(name) for name in _COLUMNS if name in header), None)
        if known is not None:
            return [row[known] for row in rows[1:] if len(row) > known]
    return None


def _rows(path: Path, text: str, delimiter: str) -> list[list[str]]:
    """Rows that are not empty, their cells without spaces around."""
    try:
        found = csv.reader(
            io.StringIO(text), delimiter=delimiter, skipinitialspace=True
        )
        rows = [[cell.strip() for cell in row] for row in found]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    return [row for row in rows if any(row)]


def _is_image(cell: str) -> bool:
    return is_image_name(Path(cell).name)


def _is_path(table: Path, cell: str, others: set[str]) -> bool:
    """Return whether a cell is an image's path, and not cells that others separate."""
    is_whole = not any(delimiter in cell for delimiter in others)
    return _is_image(cell) and (is_whole or (table.parent / cell).exists())


def _refuse(path: Path, row: Sequence[str], why: str) -> list[str]:
    raise InputError(
        f"{path}: has no column {', '.join(_COLUMNS[:-1])} or {_COLUMNS[-1]}, and "
        f"{why}: {', '.join(row)}"
    )
