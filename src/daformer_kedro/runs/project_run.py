"""One ordinary ``kedro run`` of a project, as a user would type it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any, Protocol

from kedro.framework.project import settings
from omegaconf import OmegaConf

from daformer_kedro.errors import InputError
from daformer_kedro.reuse.attempt_log import Attempt, AttemptLog
from daformer_kedro.run_state import RunState
from daformer_kedro.storage.lock import Lock

_BY_HAND: dict[str, Any] = {}
_REUSING: dict[str, Any] = {"only_missing_outputs": True}
"""Selections that Kedro is asked to run, by a user and by :class:`RunSpec`."""
_STDERR = 2
_CONTINUED = "MLFLOW_RUN_ID"
_SIGNALS = 128
"""Exit statuses above it are of signals, as shells count."""
_PATIENCE = 0.5  # seconds for a lock that is given back at this moment


class UnfinishedRunError(Exception):
    """A run failed or was stopped; what is finished stays finished.

    Attributes:
        status: exit status of its ``kedro run``.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def was_stopped(self) -> bool:
        """Return whether somebody stopped it: Ctrl+C, or a termination signal."""
        return self.status in (_SIGNALS + SIGINT, _SIGNALS + SIGTERM)

    @property
    def was_killed(self) -> bool:
        """Return whether another signal ended it, as where memory runs out."""
        return self.status > _SIGNALS and not self.was_stopped


class Process(Protocol):
    """A run's process, of this machine or of a cluster."""

    def poll(self) -> int | None:
        """Return the exit status; ``None`` while it is under way."""

    def terminate(self) -> None:
        """Have it end."""


@dataclass(frozen=True)
class RunSpec:
    """Command that makes a run and reuses what others have made, such as features.

    Attributes:
        env: the Kedro environment; ``None`` for the default one.
        parameters: what ``--params`` says, as text by dotted name.
    """

    env: str | None
    parameters: Mapping[str, str]

    @property
    def argv(self) -> list[str]:
        """Command that makes the run, after ``kedro``."""
        argv = ["run", "--only-missing-outputs"]
        if self.env:
            argv += ["--env", self.env]
        if self.parameters:
            pairs = [f"{name}={value}" for name, value in self.parameters.items()]
            argv += ["--params", ",".join(pairs)]
        return argv

    def __str__(self) -> str:
        return shlex.join(["kedro", *self.argv])


class ProjectRun:
    """A run in its project.

    Args:
        project: root of the Kedro project.
        spec: how it is made.
    """

    def __init__(self, project: Path, spec: RunSpec) -> None:
        self._project = project
        self.spec = spec
        self._process: Process | None = None
        self._is_unwanted = False

    @cached_property
    def state(self) -> RunState:
        """Validated settings, as ``kedro run`` will read them.

        Raises:
            InputError: they are wrong.
        """
        state: RunState = self._loader.state
        return state

    @property
    def environments(self) -> list[str]:
        """Names of its Kedro environment and of those that this one extends."""
        found: list[str] = self._loader.environments
        return found

    @cached_property
    def folder(self) -> Path:
        """Folder of its results, present or to come."""
        return (
            self._project / Path(self._loader["catalog"]["metrics"]["filepath"]).parent
        )

    @property
    def attempt(self) -> Attempt | None:
        """The attempt at this command that has not finished, if any."""
        return self._attempts.unfinished(_REUSING)

    @property
    def is_finished(self) -> bool:
        """Return whether the results are there and no attempt at them is unfinished."""
        has_results = (self.folder / "metrics.json").exists()
        by_hand = self._attempts.unfinished(_BY_HAND)
        return has_results and self.attempt is None and by_hand is None

    @property
    def command(self) -> list[str]:
        """Program and arguments."""
        return [str(Path(sys.executable).with_name("kedro")), *self.spec.argv]

    def wait_for_others(self) -> None:
        """Wait for a process that writes the same results, such as one left behind.

        Raises:
            UnfinishedRunError: the run is not wanted any more, see :meth:`give_up`.
        """
        lock = Lock(self.state.journal / f"{self.state.run_key}.lock", "The run")
        is_said = False
        while not self._is_unwanted:
            try:
                lock.acquire(patience=_PATIENCE)
                lock.release()
                return
            except InputError as error:
                if not is_said:
                    say(f"Waiting. {error}")
                is_said = True
        raise UnfinishedRunError(f"{self.spec} was not begun", _SIGNALS + SIGINT)

    def finish(
        self,
        place: str,
        *,
        is_shown: bool,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run ``kedro run`` unless it has finished before.

        Args:
            place: of the run among others, for messages.
            is_shown: whether what it says is shown, also where it succeeds.
            environment: variables to set for it.

        Raises:
            UnfinishedRunError: it failed or was stopped.
        """
        self.wait_for_others()
        if self.is_finished:
            say(f"{place} finished before: {self.folder.name}")
            return
        say(f"{place} {self.spec}")
        # Standard output is for the caller's table.
        process = subprocess.Popen(
            self.command,
            cwd=self._project,
            env=_environment(environment or {}),
            stdout=_STDERR if is_shown else subprocess.PIPE,
            stderr=None if is_shown else subprocess.STDOUT,
        )
        self.attach(process)
        said, _ = process.communicate()
        status = process.returncode
        if status:
            text = (said or b"").decode(errors="replace")
            raise UnfinishedRunError(
                f"{text}{self.spec} ended with status {status}",
                exit_status(status),
            )

    def attach(self, process: Process) -> None:
        """Note the process that makes the run, which :meth:`ask_to_stop` then ends."""
        self._process = process
        if self._is_unwanted:  # since before it was known here
            process.terminate()

    def give_up(self) -> None:
        """Do not begin the run any more; a process that is under way continues."""
        self._is_unwanted = True

    def ask_to_stop(self) -> None:
        """Have the run end if it is under way; it keeps what it has finished."""
        self.give_up()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    @property
    def _attempts(self) -> AttemptLog:
        return AttemptLog(self.state.journal, self.state.run_key)

    @cached_property
    def _loader(self) -> Any:
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(self._project / settings.CONF_SOURCE),
            env=self.spec.env,
            runtime_params=nested(self.spec.parameters),
            **settings.CONFIG_LOADER_ARGS,
        )
        loader.project = self._project
        return loader


def start_here(
    run: ProjectRun, project: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a run as a process of this machine that writes to ``log``."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            run.command,
            cwd=project,
            env=_environment(environment),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


def exit_status(returncode: int) -> int:
    """Return what a shell shows for a process, also for one that a signal ended."""
    return returncode if returncode >= 0 else _SIGNALS - returncode


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with ``given``.

    The run in MLflow that a user wants continued is not that of each run started here.
    """
    own = {name: value for name, value in os.environ.items() if name != _CONTINUED}
    return own | dict(given)


def parse_parameters(text: str) -> dict[str, str]:
    """``a.b=1,c=2`` by dotted name, as ``kedro run --params`` takes it."""
    return dict(_pairs(text))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        yield name.strip(), value


def nested(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Nest parameters as Kedro reads ``--params``: numbers and sections come out."""
    pairs = [f"{name}={value}" for name, value in parameters.items()]
    found: Any = OmegaConf.to_container(OmegaConf.from_dotlist(pairs))
    return dict(found)


def say(text: str) -> None:
    """Write a line that is no result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
