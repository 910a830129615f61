"""Address of a SQLite database, whatever the folders above it are called."""

from __future__ import annotations

import re
from urllib.parse import quote

_MISREAD = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""Characters that begin a query, and escapes that would be decoded."""


def sqlite_uri(path: str) -> str:
    """Return the URI by which SQLAlchemy opens the database at an absolute path.

    What must be quoted names SQLite's driver too: of a URI without one MLflow takes the
    text for a path, and makes the folders of that name.
    """
    if _MISREAD.search(path):
        return f"sqlite+pysqlite:///{quote(path)}"
    return f"sqlite:///{path}"
