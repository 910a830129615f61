"""One trial of a study: an ordinary run, watched task by task."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daformer_kedro.runs.project_run import (
    ProjectRun,
    UnfinishedRunError,
    exit_status,
    start_here,
)
from daformer_kedro.runs.ray_tasks import RayProcess
from daformer_kedro.storage.record import read_record

_POLL_SECONDS = 0.2
_TAIL = 30  # lines of its log that are shown where it fails


class TrialRun:
    """A run whose results are known after each of its tasks.

    Args:
        run: the run.
        log: file for what it writes.
        environment: variables to set for it.
        engine: ``local``, or ``ray`` for a task of Ray.
    """

    def __init__(
        self, run: ProjectRun, log: Path, environment: Mapping[str, str], engine: str
    ) -> None:
        self._run = run
        self._engine = engine
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | RayProcess | None = None

    def start(self, project: Path) -> None:
        """Begin the run or resume it; nothing begins where it has finished.

        A process that an earlier study left behind is waited for: its work counts.
        """
        self._run.wait_for_others()
        if self._run.is_finished:
            return
        start = RayProcess if self._engine == "ray" else start_here
        self._process = start(self._run, project, self._log, self._environment)
        self._run.attach(self._process)

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Iterate over the metrics of the tasks, each as soon as it is known.

        Raises:
            UnfinishedRunError: the run failed or was stopped.
        """
        for task in range(self._run.state.tasks.num_tasks):
            path = self._run.folder / f"task_{task:02d}" / "metrics.json"
            while not self._is_known(path):
                time.sleep(_POLL_SECONDS)
            yield json.loads(path.read_text(encoding="utf-8"))
        self._wait()

    def results(self) -> dict[str, Any]:
        """Return metrics and costs of the finished run."""
        found: dict[str, Any] = {}
        for name in ("costs.json", "metrics.json"):
            path = self._run.folder / name
            if path.exists():
                found |= json.loads(path.read_text(encoding="utf-8"))
        return found

    def give_up(self) -> None:
        """Do not begin the run any more; a process that is under way continues."""
        self._run.give_up()

    def ask_to_stop(self) -> None:
        """Have the run end, which keeps what it has finished."""
        self._run.ask_to_stop()

    def stop(self) -> None:
        """Have the run end, and wait until it has."""
        self.ask_to_stop()
        if self._process is not None:
            self._process.wait()

    def _is_known(self, path: Path) -> bool:
        """Return whether the metrics are there and are this attempt's.

        Those that the attempt reuses are known when it has ended: before, nothing tells
        them from what it will make again.
        """
        if self._process is None:
            return True
        if self._process.poll() is not None:
            self._wait()
            return True
        attempt = self._run.attempt
        record = read_record(path) if attempt is not None else None
        if attempt is None or record is None or record.provenance is None:
            return False
        return record.provenance.attempt == attempt.name

    def _wait(self) -> None:
        if self._process is None or not self._process.wait():
            return
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-_TAIL:])
        status = self._process.wait()
        raise UnfinishedRunError(
            f"{tail}\n{self._run.spec} ended with status {status}; all that it wrote: "
            f"{self._log}",
            exit_status(status),
        )
