"""Databases in folders of all names."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from daformer_kedro.storage.sqlite_uri import sqlite_uri

NAMES = ["plain", "a b", "a%20b", "100%", "50%ab?", "a?b", "a#b", "é'\"", "a&b=c;d@e:f"]


@pytest.mark.parametrize("name", NAMES)
def test_sqlalchemy_opens_the_database_at_that_path(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    path = tmp_path / name / "mlflow.db"
    uri = sqlite_uri(path.as_posix())
    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table runs (name text)")
    engine.dispose()
    assert path.stat().st_size > 0
    # MLflow makes the parents of the path that follows this, as it is written.
    if uri.startswith("sqlite:///"):
        assert Path(uri.removeprefix("sqlite:///")) == path
