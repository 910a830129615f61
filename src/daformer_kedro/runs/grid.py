"""Many ordinary ``kedro run``s, of which finished ones are not made again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from kedro.framework.startup import bootstrap_project

from daformer_kedro.reuse.termination import interrupt_stops, termination_interrupts
from daformer_kedro.runs.project_run import (
    ProjectRun,
    RunSpec,
    UnfinishedRunError,
    parse_parameters,
)
from daformer_kedro.runs.ray_tasks import cluster_of, finish_on_ray
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
        self._is_stopped = Event()
        bootstrap_project(project)
        self.runs = [ProjectRun(project, spec) for spec in specs]
        for run in self.runs:
            _ = run.state.tasks  # raises

    @property
    def run_keys(self) -> list[str]:
        """Run key of each run."""
        return [run.state.run_key for run in self.runs]

    @property
    def missing(self) -> list[ProjectRun]:
        """Runs that have not finished."""
        return [run for run in self.runs if not run.is_finished]

    def finish(self, jobs: int = 1, engine: str = "local") -> list[Path]:
        """Make what is missing, and return the folder of each run's results.

        An interrupted run resumes where it stopped, as ``kedro run`` does.

        Args:
            jobs: runs at a time, each with GPUs of its own where there are several;
                what several say is shown only where one fails.
            engine: ``local``, or ``ray`` for runs that are tasks of Ray.

        Raises:
            UnfinishedRunError: a run failed or was interrupted; no other is begun.
        """
        total = len(self.runs)
        self._is_stopped.clear()
        slots = Slots(jobs, deals_gpus=engine == "local")

        def finish(number: int, run: ProjectRun) -> None:
            if self._is_stopped.is_set():
                return
            try:
                with slots.take() as environment:
                    place = f"[{number}/{total}]"
                    if engine == "ray":
                        finish_on_ray(run, self.project, place)
                    else:
                        is_shown = jobs == 1
                        run.finish(place, is_shown=is_shown, environment=environment)
            except BaseException:
                self._is_stopped.set()  # before this worker takes the next run
                raise

        # Ctrl+C reaches local runs that are under way.
        on_interrupt = self._stop if engine == "ray" else self._give_up
        # Ray has a handler of its own for the signal, which must not take the place.
        with (
            cluster_of(engine, jobs),
            termination_interrupts(self._stop),
            ThreadPoolExecutor(jobs) as pool,
        ):
            futures = [pool.submit(finish, *run) for run in enumerate(self.runs, 1)]
            try:
                with interrupt_stops(on_interrupt):
                    for future in futures:
                        future.result()
            finally:
                self._is_stopped.set()
        return [run.folder for run in self.runs]

    def _stop(self) -> None:
        self._is_stopped.set()
        for run in self.runs:
            run.ask_to_stop()

    def _give_up(self) -> None:
        self._is_stopped.set()
        for run in self.runs:
            run.give_up()
