"""Many ordinary ``kedro run``s, of which finished ones are not made again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from omegaconf import OmegaConf

from daformer_kedro.config.run import Config, run_key
from daformer_kedro.datasets.images import index_in
from daformer_kedro.reuse.attempt_log import Journal
from daformer_kedro.reuse.hooks import JOURNAL
from daformer_kedro.scenario.plan import make_plan

_STDERR = 2


class UnfinishedRunError(Exception):
    """A cell did not come to its end; what is finished stays finished.

    Attributes:
        status: exit status of its ``kedro run``.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        env: the Kedro environment; ``None`` for the default one.
        parameters: what ``--params`` says, as text by dotted name.
    """

    env: str | None
    parameters: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        """The command that makes the run, after ``kedro``."""
        words = ["run"]
        if self.env:
            words += ["--env", self.env]
        if self.parameters:
            pairs = [f"{name}={value}" for name, value in self.parameters.items()]
            words += ["--params", ",".join(pairs)]
        return words

    def __str__(self) -> str:
        return shlex.join(["kedro", *self.words])


class Grid:
    """Cells of one project.

    Args:
        project: root of the Kedro project.
        cells: the runs, in the order in which they are made.

    Raises:
        InputError: the settings of any cell are wrong; nothing has run then.
    """

    def __init__(self, project: Path, cells: Sequence[Cell]) -> None:
        self.project = project
        bootstrap_project(project)
        self.runs = [_CellRun(project, cell) for cell in cells]
        for run in self.runs:
            make_plan(run.config, index_in(project, run.config))

    @property
    def run_keys(self) -> list[str]:
        """Run key of each cell."""
        return [run_key(run.config) for run in self.runs]

    def finish(self, jobs: int = 1) -> list[Path]:
        """Make what is missing, and return the folder of each cell's results.

        An interrupted cell goes on where it stopped, as ``kedro run`` does.

        Args:
            jobs: runs at a time; what several say is shown only where one fails.

        Raises:
            UnfinishedRunError: a run failed or was interrupted; no other is begun.
        """
        total = len(self.runs)
        is_stopped = Event()

        def finish(number: int, run: _CellRun) -> None:
            if is_stopped.is_set():
                return
            try:
                run.finish(f"[{number}/{total}]", is_shown=jobs == 1)
            except BaseException:
                is_stopped.set()  # before this worker takes the next cell
                raise

        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(finish, *cell) for cell in enumerate(self.runs, 1)]
            try:
                for future in futures:
                    future.result()
            finally:
                # After Ctrl+C too; runs under way end by themselves, it reaches them.
                is_stopped.set()
        return [run.folder for run in self.runs]


class _CellRun:
    """A cell in its project."""

    def __init__(self, project: Path, cell: Cell) -> None:
        self._project = project
        self.cell = cell

    @cached_property
    def config(self) -> Config:
        """The validated settings, as ``kedro run`` will read them."""
        config: Config = self._loader.config
        return config

    @cached_property
    def folder(self) -> Path:
        """Folder of its results, present or to come."""
        return (
            self._project / Path(self._loader["catalog"]["metrics"]["filepath"]).parent
        )

    @property
    def is_finished(self) -> bool:
        """Whether the results are there and no attempt at them is unfinished."""
        journal = Journal(self._project / JOURNAL, run_key(self.config))
        has_results = (self.folder / "metrics.json").exists()
        return has_results and journal.unfinished({}) is None

    def finish(self, place: str, *, is_shown: bool) -> None:
        """Run the cell unless it is finished."""
        if self.is_finished:
            _say(f"{place} finished before: {self.folder.name}")
            return
        _say(f"{place} {self.cell}")
        kedro = Path(sys.executable).with_name("kedro")
        # Standard output is for the caller's table.
        done = subprocess.run(
            [str(kedro), *self.cell.words],
            cwd=self._project,
            stdout=_STDERR if is_shown else subprocess.PIPE,
            stderr=None if is_shown else subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            said = (done.stdout or b"").decode(errors="replace")
            raise UnfinishedRunError(
                f"{said}{self.cell} ended with status {done.returncode}",
                done.returncode,
            )

    @cached_property
    def _loader(self) -> Any:
        return settings.CONFIG_LOADER_CLASS(
            conf_source=str(self._project / settings.CONF_SOURCE),
            env=self.cell.env,
            runtime_params=_nested(self.cell.parameters),
            **settings.CONFIG_LOADER_ARGS,
        )


def parse_parameters(text: str) -> dict[str, str]:
    """``a.b=1,c=2`` by dotted name, as ``kedro run --params`` takes it."""
    return dict(_pairs(text))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        yield name.strip(), value


def _nested(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Nest parameters as Kedro reads ``--params``: numbers and sections come out."""
    pairs = [f"{name}={value}" for name, value in parameters.items()]
    nested: Any = OmegaConf.to_container(OmegaConf.from_dotlist(pairs))
    return dict(nested)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
