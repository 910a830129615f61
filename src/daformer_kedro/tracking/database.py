"""MLflow's SQLite database, which a killed process never leaves half made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from daformer_kedro.storage.atomic_files import (
    remove_leftovers,
    replace_atomically,
    temporary_sibling,
)
from daformer_kedro.storage.sqlite_uri import sqlite_uri


def database_file(uri: str | None, project: Path) -> Path | None:
    """Return the file of a run log, or ``None`` if it does not lie in one.

    Args:
        uri: where MLflow keeps its runs.
        project: folder that a relative path starts from.
    """
    from sqlalchemy.engine import make_url  # not needed to list pipelines
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri or "")
    except ArgumentError:
        return None
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return None if url.database == ":memory:" else Path(project, url.database)


def make_database(path: Path) -> None:
    """Make MLflow's tables in a new file; one that is there is left as it is.

    MLflow makes them in many steps, which SQLite does not undo when it is killed.

    Raises:
        OSError: the folder cannot be written to.
    """
    if path.exists():
        return
    from mlflow.db import upgrade

    remove_leftovers(path.parent, is_ours=False)
    with temporary_sibling(path) as written:
        uri = sqlite_uri(str(written.absolute()))
        upgrade.main([uri], standalone_mode=False)
        if not path.exists():  # MLflow's own server takes no lock of ours
            replace_atomically(written, path)


def is_unfinished(path: Path) -> bool:
    """Return whether a file has MLflow's tables and not even its first experiment."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            return db.execute("select count(*) from experiments").fetchone() == (0,)
    except sqlite3.Error:
        return False
