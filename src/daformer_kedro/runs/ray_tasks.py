"""Runs as tasks of Ray, on this machine or on a cluster that ``RAY_ADDRESS`` names.

All machines must see the project's folder under the same path. Ray is an optional part
of the installation and imported only where it is asked for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from daformer_kedro.errors import InputError
from daformer_kedro.runs.project_run import (
    ProjectRun,
    RunSpec,
    UnfinishedRunError,
    exit_status,
    say,
    start_here,
)

_MAX_RETRIES = 3
"""How often a run is restarted whose worker or machine has died."""
_KILLED = 137
"""Exit status of what SIGKILL has ended, as shells count."""
_POLL_SECONDS = 0.2


def check_ray(key: str) -> None:
    """Find out whether Ray is installed.

    Args:
        key: setting or option that asks for it.

    Raises:
        InputError: it is not; says how to install it.
    """
    if find_spec("ray") is None:
        raise InputError(
            f"{key} needs Ray, which is not installed: "
            'pip install "daformer_kedro[ray]"'
        )


@contextmanager
def cluster_of(engine: str, jobs: int) -> Iterator[None]:
    """Use the cluster that the environment names, or start Ray for the block.

    Args:
        engine: ``ray``; with ``local`` nothing is needed.
        jobs: runs at a time, on a Ray that is started here.
    """
    if engine != "ray":
        yield
        return
    from daformer_kedro.learning.distributed.on_ray import connected

    with connected(jobs):
        yield


class RayProcess:
    """A run that is a task of Ray; it has the methods of ``subprocess.Popen``.

    The task takes a CPU and as many GPUs as the run trains on, where the cluster has
    any. If its worker dies, Ray begins it again, up to three times, and the run resumes
    from what it has saved.

    Args:
        run: the run.
        project: root of the project, on every machine.
        log: file for what the run writes, on every machine.
        environment: variables to set for it.

    Attributes:
        returncode: exit status, once :meth:`poll` or :meth:`wait` has given it.
    """

    def __init__(
        self, run: ProjectRun, project: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        import ray

        training = run.state.config.training
        has_gpus = ray.cluster_resources().get("GPU", 0) and training.device != "cpu"
        work: Any = ray.remote(_work)
        self._task = work.options(
            name=run.state.run_key,
            num_cpus=1,
            num_gpus=training.devices if has_gpus else 0,
            max_retries=_MAX_RETRIES,
        ).remote(project, run.spec, log, dict(environment))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; ``None`` while the run is under way."""
        import ray

        if self.returncode is None and ray.wait([self._task], timeout=0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        import ray
        from ray.exceptions import RayError, TaskCancelledError

        if self.returncode is None:
            try:
                self.returncode = int(ray.get(self._task))
            except TaskCancelledError:
                self.returncode = 130
            except RayError as error:
                say(f"Ray could not finish a run: {error}")
                self.returncode = _KILLED
        return self.returncode

    def terminate(self) -> None:
        """Have the run end; it keeps what it has finished."""
        import ray

        ray.cancel(self._task, recursive=False)


def finish_on_ray(run: ProjectRun, project: Path, place: str) -> None:
    """Make a run as a task of Ray unless it has finished before.

    Args:
        run: the run.
        project: root of the project, on every machine.
        place: of the run among others, for messages.

    Raises:
        UnfinishedRunError: it failed or was stopped.
    """
    if run.is_finished:
        say(f"{place} finished before: {run.folder.name}")
        return
    say(f"{place} {run.spec}")
    log = project / "data" / "journal" / f"{run.state.run_key}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    process = RayProcess(run, project, log, {})
    run.attach(process)
    status = process.wait()
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if status:
        raise UnfinishedRunError(f"{said}{run.spec} ended with status {status}", status)
    log.unlink(missing_ok=True)


def _work(
    project: Path, spec: RunSpec, log: Path, environment: Mapping[str, str]
) -> int:
    """Make a run in a worker, unless a worker that has died left it finished."""
    from kedro.framework.startup import bootstrap_project

    # Cancelling is an interrupt, which background jobs of shells ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bootstrap_project(project)
    run = ProjectRun(project, spec)
    run.wait_for_others()
    if run.is_finished:
        return 0
    process = start_here(run, project, log, environment)
    try:
        # Cancelling raises KeyboardInterrupt between two steps of Python alone.
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
        return exit_status(process.returncode)
    except BaseException:  # cancelled
        process.terminate()
        process.wait()
        raise
