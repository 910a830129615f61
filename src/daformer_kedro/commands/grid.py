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

from daformer_kedro.reuse.attempt_log import AttemptLog
from daformer_kedro.run_state import RunState

_STDERR = 2


class UnfinishedRunError(Exception):
    """A run of the grid failed or was stopped; what is finished stays finished.

    Attributes:
        status: exit status of its ``kedro run``.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RunSpec:
    """One run of a grid.

    Attributes:
        env: the Kedro environment; ``None`` for the default one.
        parameters: what ``--params`` says, as text by dotted name.
    """

    env: str | None
    parameters: Mapping[str, str]

    @property
    def argv(self) -> list[str]:
        """Command that makes the run, after ``kedro``."""
        argv = ["run"]
        if self.env:
            argv += ["--env", self.env]
        if self.parameters:
            pairs = [f"{name}={value}" for name, value in self.parameters.items()]
            argv += ["--params", ",".join(pairs)]
        return argv

    def __str__(self) -> str:
        return shlex.join(["kedro", *self.argv])


class Grid:
    """Runs of one project.

    Args:
        project: root of the Kedro project.
        specs: the runs, in the order in which they are made.

    Raises:
        InputError: the settings of any run are wrong; nothing has run then.
    """

    def __init__(self, project: Path, specs: Sequence[RunSpec]) -> None:
        self.project = project
        bootstrap_project(project)
        self.runs = [_GridRun(project, spec) for spec in specs]
        for run in self.runs:
            _ = run.state.tasks  # raises

    @property
    def run_keys(self) -> list[str]:
        """Run key of each run."""
        return [run.state.run_key for run in self.runs]

    def finish(self, jobs: int = 1) -> list[Path]:
        """Make what is missing, and return the folder of each run's results.

        An interrupted run resumes where it stopped, as ``kedro run`` does.

        Args:
            jobs: runs at a time; what several say is shown only where one fails.

        Raises:
            UnfinishedRunError: a run failed or was interrupted; no other is begun.
        """
        total = len(self.runs)
        is_stopped = Event()

        def finish(number: int, run: _GridRun) -> None:
            if is_stopped.is_set():
                return
            try:
                run.finish(f"[{number}/{total}]", is_shown=jobs == 1)
            except BaseException:
                is_stopped.set()  # before this worker takes the next run
                raise

        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(finish, *run) for run in enumerate(self.runs, 1)]
            try:
                for future in futures:
                    future.result()
            finally:
                # After Ctrl+C too; runs under way end by themselves, it reaches them.
                is_stopped.set()
        return [run.folder for run in self.runs]


class _GridRun:
    """A run of a grid in its project."""

    def __init__(self, project: Path, spec: RunSpec) -> None:
        self._project = project
        self.spec = spec

    @cached_property
    def state(self) -> RunState:
        """Validated settings, as ``kedro run`` will read them."""
        state: RunState = self._loader.state
        return state

    @cached_property
    def folder(self) -> Path:
        """Folder of its results, present or to come."""
        return (
            self._project / Path(self._loader["catalog"]["metrics"]["filepath"]).parent
        )

    @property
    def is_finished(self) -> bool:
        """Return whether the results are there and no attempt at them is unfinished."""
        attempts = AttemptLog(self.state.journal, self.state.run_key)
        has_results = (self.folder / "metrics.json").exists()
        return has_results and attempts.unfinished({}) is None

    def finish(self, place: str, *, is_shown: bool) -> None:
        """Run ``kedro run`` unless it has finished before."""
        if self.is_finished:
            _say(f"{place} finished before: {self.folder.name}")
            return
        _say(f"{place} {self.spec}")
        kedro = Path(sys.executable).with_name("kedro")
        # Standard output is for the caller's table.
        done = subprocess.run(
            [str(kedro), *self.spec.argv],
            cwd=self._project,
            stdout=_STDERR if is_shown else subprocess.PIPE,
            stderr=None if is_shown else subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            said = (done.stdout or b"").decode(errors="replace")
            raise UnfinishedRunError(
                f"{said}{self.spec} ended with status {done.returncode}",
                done.returncode,
            )

    @cached_property
    def _loader(self) -> Any:
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(self._project / settings.CONF_SOURCE),
            env=self.spec.env,
            runtime_params=_nested(self.spec.parameters),
            **settings.CONFIG_LOADER_ARGS,
        )
        loader.project = self._project
        return loader


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
