"""Search for settings on a validation share: trials are ordinary runs.

Optuna proposes the settings and keeps the trials, see
:mod:`~daformer_kedro.runs.trials`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from daformer_kedro.errors import InputError
from daformer_kedro.reuse.runner import RunInterrupted, this_command
from daformer_kedro.reuse.termination import interrupt_stops, termination_interrupts
from daformer_kedro.run_state import RunState
from daformer_kedro.runs.failures import Failures
from daformer_kedro.runs.project_run import UnfinishedRunError, say
from daformer_kedro.runs.ray_tasks import check_ray, cluster_of
from daformer_kedro.runs.slots import Slots
from daformer_kedro.runs.trial_run import TrialRun
from daformer_kedro.runs.trial_settings import TrialSettings
from daformer_kedro.runs.trials import Trials
from daformer_kedro.runs.tuned_environment import check_environment, write_environment
from daformer_kedro.storage.lock import Lock
from daformer_kedro.tracking.parent_run import PARENT_VARIABLE, TRIAL_VARIABLE
from daformer_kedro.usage import UsageError


@dataclass(frozen=True)
class StudyOutcome:
    """Trials of a study and the best of them.

    Attributes:
        trials: one row per trial: ``trial``, ``state``, ``value`` (of a complete one),
            with processor time ``processor_seconds`` and ``on_front`` (no other trial
            beats it in both), ``run_key`` and a column per setting.
        best: number of the best trial.
        value: its objective, a fraction of 1.
        settings: its settings, by dotted name.
        environment: file that they were written to.
    """

    trials: list[dict[str, Any]]
    best: int
    value: float
    settings: dict[str, Any]
    environment: Path


@dataclass(frozen=True)
class StudySearch:
    """A study of the session's settings, which begins when it is asked to.

    Attributes:
        state: of the session: the settings that are not searched, and ``study``.
    """

    state: RunState

    def search(self) -> StudyOutcome:
        """Make the trials that are missing, and write the best settings.

        Raises:
            InputError: the space or another setting cannot be used, Optuna is not
                installed, or no trial is complete.
            UsageError: several trials in a row failed, or somebody stopped the study;
                the same command resumes it.
        """
        return _Search(self.state).run()


class _Search:
    """A study that is under way."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config.study
        self._folder = state.project / "data" / "studies" / self._config.name
        self._settings = TrialSettings(state)
        self._is_stopped = threading.Event()
        self._under_way: set[TrialRun] = set()

    def run(self) -> StudyOutcome:
        """See :meth:`StudySearch.search`."""
        self._check()
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(self._folder / "study.lock", f"The study {self._config.name}")
        lock.acquire()
        try:
            self._trials = Trials(self._state.config, self._folder)
            self._failures = Failures(self._trials, self._is_stopped)
            self._run_trials()
            return self._outcome()
        finally:
            lock.release()

    def _check(self) -> None:
        """Find out what is wrong before anything runs."""
        if find_spec("optuna") is None:
            raise InputError(
                "the pipeline study needs Optuna, which is not installed: "
                'pip install "daformer_kedro[study]"'
            )
        if self._config.engine == "ray":
            check_ray("study.engine = 'ray'")
        check_environment(
            self._state.project, self._config.name, self._settings.environments
        )
        self._settings.check_space()

    def _run_trials(self) -> None:
        from mlflow import active_run

        parent = active_run()  # of this thread
        run_id = parent.info.run_id if parent is not None else ""
        # Ray deals out GPUs by itself.
        slots = Slots(self._config.jobs, deals_gpus=self._config.engine == "local")
        unfinished = self._trials.unfinished
        missing = max(0, self._config.trials - len(self._trials))

        def make(trial_id: int | None) -> None:
            if self._is_stopped.is_set():
                return
            try:
                with slots.take() as place:
                    self._run_trial(self._trials.ask(trial_id), {**place}, run_id)
            except BaseException:
                self._is_stopped.set()
                raise

        try:
            with (
                # Ray has a handler of its own for the signal.
                cluster_of(self._config.engine, self._config.jobs),
                termination_interrupts(self._stop),
                ThreadPoolExecutor(self._config.jobs) as pool,
            ):
                todo = [*unfinished, *([None] * missing)]
                futures = [pool.submit(make, trial_id) for trial_id in todo]
                try:
                    with interrupt_stops(self._on_interrupt):
                        ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
                        for future in ended:
                            future.result()
                finally:
                    self._is_stopped.set()
        except KeyboardInterrupt as error:
            raise RunInterrupted(
                f"Stopped. What was finished is kept. To resume: {this_command()}"
            ) from error
        except UnfinishedRunError as error:
            raise UsageError(f"{error}\nThe same command resumes there.") from error

    def _stop(self) -> None:
        self._is_stopped.set()
        for made in list(self._under_way):
            made.ask_to_stop()

    def _on_interrupt(self) -> None:
        """Stop what Ctrl+C does not reach: Ray's tasks, and runs not begun yet."""
        if self._config.engine == "ray":
            self._stop()
        for made in list(self._under_way):
            made.give_up()

    def _run_trial(self, trial: Any, place: dict[str, str], parent: str) -> None:
        settings = self._trials.settings(trial)
        shown = ", ".join(f"{name}={value}" for name, value in settings.items())
        title = f"trial {trial.number}"
        say(f"{title}: {shown}")
        run = self._settings.run(settings)
        try:
            trial.set_user_attr("run_key", run.state.run_key)
            run.state.check()
        except InputError as error:
            say(f"{title}: these settings exclude each other: {error}")
            self._trials.fail(trial)
            return
        if parent:
            place[PARENT_VARIABLE] = parent
        place[TRIAL_VARIABLE] = str(trial.number)
        log = self._folder / f"trial_{trial.number:04d}.log"
        while True:
            try:
                self._attempt(trial, TrialRun(run, log, place, self._config.engine))
            except UnfinishedRunError as error:
                if not self._failures.is_to_resume(trial, error):
                    self._failures.note(trial, error)
                    return
            else:
                self._failures.end_row()
                return

    def _attempt(self, trial: Any, made: TrialRun) -> None:
        """Make a trial's run or resume it, and end the trial with its result."""
        title = f"trial {trial.number}"
        self._under_way.add(made)
        try:
            made.start(self._state.project)
            task = self._watch(trial, made)
            if task is not None:
                made.stop()
                self._trials.prune(trial)
                say(f"{title}: pruned after task {task}")
                return
        except BaseException:
            made.stop()
            raise
        finally:
            self._under_way.discard(made)
        values = self._values(made.results())
        self._trials.complete(trial, values)
        say(f"{title}: {100 * values[0]:.2f} %")

    def _watch(self, trial: Any, made: TrialRun) -> int | None:
        """Report every task; return the one after which the trial is to be pruned."""
        values: list[float] = []
        for metrics in made.tasks():
            if self._is_stopped.is_set():
                raise KeyboardInterrupt
            values.append(metrics[_OF_TASK[self._config.objective]])
            is_hopeless = self._trials.report(trial, values)
            if is_hopeless and len(values) < self._state.tasks.num_tasks:
                return len(values) - 1
        return None

    def _values(self, results: Mapping[str, Any]) -> list[float]:
        values = [float(results[_OF_RUN[self._config.objective]])]
        if self._config.with_processor_time:
            if "processor_seconds" not in results:
                raise InputError(
                    "study.with_processor_time = true: a trial's processor time was "
                    "not measured, since an earlier version of the project made it; "
                    "remove it (make clean-runs)"
                )
            values.append(float(results["processor_seconds"]))
        return values

    def _outcome(self) -> StudyOutcome:
        number = len(self._trials)
        best = self._trials.best()
        if best is None:
            raise InputError(
                f"study {self._config.name}: none of {number} trials is complete; "
                f"{self._folder} has their logs"
            )
        value, settings = best.values[0], self._trials.settings(best)
        path = write_environment(self._state, settings, value, best.number, number)
        say(
            f"Best of {number} trials: {best.number}, {100 * value:.2f} % on "
            f"validation images; written to {path}. Measure it on the test images:\n"
            f"  kedro run --env {self._config.name}"
        )
        return StudyOutcome(self._trials.rows(), best.number, value, settings, path)


_OF_TASK = {
    "average_incremental_accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
}
"""Metric of a task for each objective, and of a run."""
_OF_RUN = {
    "average_incremental_accuracy": "average_incremental_accuracy",
    "balanced_accuracy": "last_balanced_accuracy",
}
