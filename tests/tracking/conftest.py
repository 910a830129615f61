"""A PostgreSQL of its own for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_PLACES = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/local/pgsql/bin")]


class Postgres:
    """A cluster in a folder, which listens on this machine alone.

    Attributes:
        uri: of its database, empty at first; its password is in the environment, where
            PostgreSQL's clients find it.
    """

    def __init__(self, folder: Path, programs: Path, port: int) -> None:
        self.folder = folder
        self._programs = programs
        self._port = port
        self.address = f"postgresql://mlflow@127.0.0.1:{port}/mlflow"
        # SQLAlchemy would take the newer driver, which MLflow is not tested with.
        self.uri = self.address.replace(":", "+psycopg2:", 1)

    def make(self, password: str) -> None:
        """Make the cluster's files, for one user with a password."""
        self.folder.mkdir()
        secret = self.folder.with_name("password")
        secret.write_text(password)
        if os.getuid() == 0:  # PostgreSQL does not run as root
            for path in (self.folder, secret):
                shutil.chown(path, "nobody", "nogroup")
        self._run("initdb", "-U", "mlflow", "-A", "scram-sha-256", f"--pwfile={secret}")

    def words(self) -> list[str]:
        """The command that serves it."""
        listens = ("-h", "127.0.0.1", "-p", str(self._port), "-k", "")
        return self._command("postgres", *listens, "-F")

    def wait(self) -> None:
        """Make the database, as soon as there is an answer."""
        words = ("-h", "127.0.0.1", "-p", str(self._port), "-U", "mlflow", "mlflow")
        for _ in range(240):
            done = self._run("createdb", *words, check=False)
            if done.returncode == 0:
                return
        raise AssertionError(done.stdout)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Rows that SQL selects."""
        import psycopg2

        with (
            psycopg2.connect(self.address) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(text)
            return list(cursor.fetchall())

    def _command(self, program: str, *words: str) -> list[str]:
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        command = [str(self._programs / program), *words]
        if program != "createdb":
            command += ["-D", str(self.folder)]
        return [*user, *command] if os.getuid() == 0 else command

    def _run(
        self, program: str, *words: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", 'sleep 0.2; exec "$@"', "-", *self._command(program, *words)],
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=check,
        )


@pytest.fixture
def postgres(
    started: Any,
    free_port: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Postgres]:
    """A running cluster with an empty database; it ends with the test."""
    pytest.importorskip("psycopg2", reason="no psycopg2: make install-dev")
    found = [place for place in _PLACES if (place / "initdb").exists()]
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    # pytest's own folders are closed to other users.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.setenv("PGPASSWORD", "p@ss/word:1")
    cluster = Postgres(folder / "cluster", found[-1], free_port())
    try:
        cluster.make("p@ss/word:1")
        with started(cluster.words(), cwd=Path("/")) as server:
            cluster.wait()
            assert server.process.poll() is None, server.log.read_text()
            yield cluster
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres_server(
    postgres: Postgres, mlflow_server_class: Any, tmp_path: Path
) -> Iterator[Any]:
    """MLflow's server on PostgreSQL."""
    server = mlflow_server_class(tmp_path / "server", backend=postgres.uri)
    try:
        server.start()
        yield server
    finally:
        server.stop()
