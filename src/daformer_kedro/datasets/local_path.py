"""Paths of the catalog that must be on this machine's disks."""

from __future__ import annotations

import re
from pathlib import Path

from daformer_kedro.errors import InputError

_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?:://|::)")
_LOCAL = ("file", "local")


def local_path(filepath: str | Path) -> Path:
    """Return the path that a catalog entry gives; ``file://`` is understood.

    Raises:
        InputError: it has another protocol, such as ``s3://``, which would become a
            folder of that name.
    """
    text = str(filepath)
    found = _PROTOCOL.match(text)
    if found is None:
        return Path(text)
    if found[1].lower() in _LOCAL and text[found.end() - 2 : found.end()] == "//":
        return Path(text[found.end() :])
    raise InputError(
        f"filepath = {text!r}: the datasets of this project keep local files, which "
        "are written atomically and recognised later; allowed are paths, also "
        "after file://. Reports, tables and metrics can lie elsewhere with Kedro's own "
        "types, such as text.TextDataset, pandas.CSVDataset and json.JSONDataset"
    )
