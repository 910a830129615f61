"""MLflow's SQLite database: made in one step, also by a process that is killed."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import IntegrityError, OperationalError

from daformer_kedro.storage.sqlite_uri import sqlite_uri
from daformer_kedro.tracking import connection
from daformer_kedro.tracking.database import (
    database_file,
    is_unfinished,
    make_database,
)

# Alembic and MLflow use what their own dependencies deprecate.
pytestmark = pytest.mark.filterwarnings("ignore")

MAKE = (
    "import sys, pathlib; from daformer_kedro.tracking.database import make_database; "
    "make_database(pathlib.Path(sys.argv[1]))"
)


@pytest.fixture
def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database whose maker ended after MLflow's first tables."""
    path = tmp_path / "mlflow.db"

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", die)
        with pytest.raises(KeyboardInterrupt):
            MlflowClient(sqlite_uri(str(path))).search_experiments()
    # A step of Alembic's that was carried out and not noted down, as SQLite leaves it.
    with closing(sqlite3.connect(path)) as database:
        database.execute("alter table runs add column deleted_time bigint")
    return path


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_or_all_of_it(
    started: Any, tmp_path: Path
) -> None:
    path = tmp_path / "mlflow.db"
    with started([sys.executable, "-c", MAKE, path], cwd=tmp_path) as making:
        half_made: list[Path] = []
        while not half_made and making.process.poll() is None:
            found = tmp_path.glob(".*.part/mlflow.db")
            half_made = [f for f in found if f.stat().st_size > 100_000]
            time.sleep(0.001)
        making.stop()
        making.log.touch()
    assert half_made
    assert not path.exists()
    make_database(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mlflow.db"]
    names = [e.name for e in MlflowClient(sqlite_uri(str(path))).search_experiments()]
    assert names == ["Default"]


def test_a_database_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"mine")
    make_database(path)
    assert path.read_bytes() == b"mine"
    assert not is_unfinished(path)
    assert not is_unfinished(tmp_path / "none.db")


@pytest.mark.slow
def test_what_another_program_left_unfinished_is_named(
    unfinished: Path, project: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_unfinished(unfinished)
    unfinished.rename(project.path / "mlflow.db")
    project.run("ingestion")
    (warning,) = [m for m in caplog.messages if "not logged" in m]
    assert f"{project.path / 'mlflow.db'} is unfinished" in warning
    assert "remove it" in warning


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////data/a b.db", "/data/a b.db"),
        ("sqlite+pysqlite:////data/a%3Fb.db", "/data/a?b.db"),
        ("sqlite:///mlflow.db", "/project/mlflow.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://mlflow@host/mlflow", None),
        ("http://127.0.0.1:5000", None),
        ("databricks", None),
        (None, None),
    ],
)
def test_the_file_of_a_run_log(uri: str | None, file: str | None) -> None:
    assert database_file(uri, Path("/project")) == (Path(file) if file else None)


class Setup:
    """kedro-mlflow's settings, where others are making the database."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def setup(self, _: Any) -> None:
        if self.errors:
            raise self.errors.pop(0)


def test_a_database_that_another_machine_is_making_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection.time, "sleep", lambda _: None)
    there = IntegrityError("create table", None, Exception("already there"))
    connection._set_up(Setup(*[there] * 5), None)
    away = OperationalError("select", None, Exception("no connection"))
    connection._set_up(Setup(away), None)
    with pytest.raises(OperationalError):
        connection._set_up(Setup(away, away), None)
    monkeypatch.setattr(connection, "_LONGEST_SETUP", 0.0)
    with pytest.raises(IntegrityError):
        connection._set_up(Setup(*[there] * 5), None)
