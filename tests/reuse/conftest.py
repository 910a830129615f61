"""A finished project to change, and what a run said of each node."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LINE = re.compile(r"^((?:task_\d\d\.)?[a-z_]+(?:_\d\d)?): (.+)$")


class Copy:
    """A copy of the finished project, with what its runs say."""

    def __init__(self, finished: Any, path: Path, capsys: Any) -> None:
        self.project = finished.copy(path)
        self.path = path
        self._capsys = capsys
        self.said: dict[str, str] = {}

    def again(self, *pipelines: str, **options: Any) -> set[str]:
        """``kedro run --only-missing-outputs``; the nodes that ran."""
        self._capsys.readouterr()
        self.project.run(*pipelines, only_missing_outputs=True, **options)
        return self._ran()

    def plain(self, *pipelines: str, **options: Any) -> set[str]:
        """``kedro run``; the nodes that ran, where the run says so."""
        self._capsys.readouterr()
        self.project.run(*pipelines, **options)
        return self._ran()

    def _ran(self) -> set[str]:
        lines = self._capsys.readouterr().out.splitlines()
        found = [match for match in map(LINE.match, lines) if match]
        self.said = {match[1]: match[2] for match in found}
        return {n for n, why in self.said.items() if not why.startswith("reused")}

    def file(self, name: str) -> Path:
        """The one stored file or folder of that relative name."""
        (path,) = (self.path / "data").glob(f"*/*/{name}")
        return path

    def runs(self) -> list[tuple[str, str]]:
        """Names and states of the runs in MLflow."""
        with sqlite3.connect(self.path / "mlflow.db") as database:
            return database.execute("select name, status from runs").fetchall()


@pytest.fixture
def copy(finished: Any, tmp_path: Path, capsys: Any) -> Iterator[Copy]:
    """A project in which the test environment has run once, to be changed."""
    before = os.getcwd()
    copy = Copy(finished, tmp_path / "copy", capsys)
    os.chdir(copy.path)
    yield copy
    os.chdir(before)
