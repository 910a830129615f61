"""Many ordinary ``kedro run``s, of which finished ones are not made again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from kedro.framework.startup import bootstrap_project

from daformer_kedro.runs.project_run import (
    ProjectRun,
    RunSpec,
    UnfinishedRunError,
    parse_parameters,
)
from daformer_kedro.runs.slots import Slots

__all__ = ["Grid", "RunSpec", "UnfinishedRunError", "parse_parameters"]


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
        self.runs = [ProjectRun(project, spec) for spec in specs]
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
            jobs: runs at a time, each with GPUs of its own where there are several;
                what several say is shown only where one fails.

        Raises:
            UnfinishedRunError: a run failed or was interrupted; no other is begun.
        """
        total = len(self.runs)
        is_stopped = Event()
        slots = Slots(jobs)

        def finish(number: int, run: ProjectRun) -> None:
            if is_stopped.is_set():
                return
            try:
                with slots.take() as environment:
                    run.finish(
                        f"[{number}/{total}]",
                        is_shown=jobs == 1,
                        environment=environment,
                    )
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
