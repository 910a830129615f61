"""Search for settings on a validation share: trials are ordinary runs.

Optuna, an optional part of the installation, proposes the settings and keeps the
trials; it is imported only where a study runs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from daformer_kedro.config.keys import study_key
from daformer_kedro.config.run import result_overrides, result_settings
from daformer_kedro.config.study_section import Dimension
from daformer_kedro.errors import InputError
from daformer_kedro.reuse.runner import RunInterrupted, this_command
from daformer_kedro.run_state import RunState
from daformer_kedro.runs.project_run import (
    ProjectRun,
    RunSpec,
    UnfinishedRunError,
    say,
)
from daformer_kedro.runs.ray_tasks import check_ray, ray_cluster
from daformer_kedro.runs.slots import Slots
from daformer_kedro.runs.termination import termination_stops
from daformer_kedro.runs.trial_run import TrialRun
from daformer_kedro.runs.tuned_environment import check_environment, write_environment
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.sqlite_uri import sqlite_uri
from daformer_kedro.tracking.parent_run import PARENT_VARIABLE, TRIAL_VARIABLE
from daformer_kedro.usage import UsageError, dotted

_DIGITS = 4
"""Significant digits of a number that is drawn from a range."""


@dataclass(frozen=True)
class StudyOutcome:
    """Trials of a study and the best of them.

    Attributes:
        trials: one row per trial: ``trial``, ``state``, ``value``, with processor time
            ``processor_seconds``, ``run_key`` and a column per setting.
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
            UsageError: a trial failed, or somebody stopped the study; it goes on when
                the same command is given again.
        """
        return _Search(self.state).run()


class _Search:
    """A study that is under way."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config.study
        self._folder = state.project / "data" / "studies" / self._config.name
        self._study: Any = None
        self._asking = threading.Lock()
        self._is_stopped = threading.Event()
        self._under_way: set[TrialRun] = set()

    def run(self) -> StudyOutcome:
        """See :meth:`StudySearch.search`."""
        self._check()
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(self._folder / "study.lock", f"The study {self._config.name}")
        lock.acquire()
        try:
            self._open()
            self._run_trials()
            return self._outcome()
        finally:
            lock.release()

    def _check(self) -> None:
        """Validate every end and every choice of the space before anything runs."""
        if find_spec("optuna") is None:
            raise InputError(
                "the pipeline study needs Optuna, which is not installed: "
                'pip install "daformer_kedro[study]"'
            )
        if self._config.engine == "ray":
            check_ray("study.engine = 'ray'")
        config = self._state.config
        if not self._config.dimensions or not (config.trains or self._config.space):
            raise InputError(
                f"study.space = {self._config.space}: name the settings to search, "
                "such as {training.learning_rate: {log_range: [0.01, 0.1]}}; with "
                f"baseline = {config.baseline}"
                + (
                    ""
                    if config.trains
                    else ", which trains nothing, there is no default"
                )
            )
        check_environment(self._state.project, self._config.name)
        for dimension in self._config.dimensions:
            for value in dimension.extremes:
                try:
                    self._project_run({dimension.name: value}).state.check()
                except InputError as error:
                    raise InputError(f"study.space: {error}") from error

    def _open(self) -> None:
        import optuna

        from daformer_kedro.runs.pruning import TaskMedianPruner

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions: list[Any] = ["maximize"]
        if self._config.with_processor_time:
            directions.append("minimize")
        self._study = optuna.create_study(
            study_name=study_key(self._state.config),
            storage=sqlite_uri(str(self._folder / "study.db")),
            directions=directions,
            pruner=TaskMedianPruner(),
            load_if_exists=True,
        )

    def _run_trials(self) -> None:
        from mlflow import active_run

        parent = active_run()  # of this thread
        run_id = parent.info.run_id if parent is not None else ""
        # Ray deals out GPUs by itself.
        slots = Slots(self._config.jobs, deals_gpus=self._config.engine == "local")
        trials = self._trials()
        unfinished = [t._trial_id for t in trials if not t.state.is_finished()]
        missing = max(0, self._config.trials - len(trials))

        def make(trial_id: int | None) -> None:
            if self._is_stopped.is_set():
                return
            try:
                with slots.take() as place:
                    self._run_trial(self._ask(trial_id), {**place}, run_id)
            except BaseException:
                self._is_stopped.set()
                raise

        try:
            with (
                termination_stops(self._stop),
                self._cluster(),
                ThreadPoolExecutor(self._config.jobs) as pool,
            ):
                todo = [*unfinished, *([None] * missing)]
                futures = [pool.submit(make, trial_id) for trial_id in todo]
                try:
                    for future in futures:
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

    def _cluster(self) -> AbstractContextManager[None]:
        if self._config.engine == "ray":
            return ray_cluster(self._config.jobs)
        return nullcontext()

    def _ask(self, trial_id: int | None) -> Any:
        """Propose settings, or take up a trial that was interrupted.

        The sampler is seeded for each trial, so that an interruption changes none.
        """
        from optuna.samplers import TPESampler
        from optuna.trial import Trial

        with self._asking:
            number = len(self._trials())
            if trial_id is not None:
                number = self._study._storage.get_trial(trial_id).number
            seed = np.random.SeedSequence([self._config.seed, number])
            self._study.sampler = TPESampler(seed=int(seed.generate_state(1)[0]))
            present = self._present_settings
            if number == 0 and trial_id is None and present is not None:
                self._study.enqueue_trial(present)
            trial = (
                self._study.ask() if trial_id is None else Trial(self._study, trial_id)
            )
            for dimension in self._config.dimensions:
                _suggest(trial, dimension)
        return trial

    def _run_trial(self, trial: Any, place: dict[str, str], parent: str) -> None:
        from optuna.trial import TrialState

        settings = self._settings(trial.params)
        shown = ", ".join(f"{name}={value}" for name, value in settings.items())
        title = f"trial {trial.number}"
        say(f"{title}: {shown}")
        run = self._project_run(settings)
        try:
            trial.set_user_attr("run_key", run.state.run_key)
            run.state.check()
        except InputError as error:
            say(f"{title}: these settings exclude each other: {error}")
            self._study.tell(trial, state=TrialState.FAIL)
            return
        if parent:
            place[PARENT_VARIABLE] = parent
        place[TRIAL_VARIABLE] = str(trial.number)
        log = self._folder / f"trial_{trial.number:04d}.log"
        made = TrialRun(run, log, place, self._config.engine)
        self._under_way.add(made)
        try:
            made.start(self._state.project)
            if self._watch(trial, made):
                made.stop()
                say(f"{title}: pruned after task {max(self._reported(trial))}")
                self._study.tell(trial, state=TrialState.PRUNED)
                return
        except BaseException:
            made.stop()
            raise
        finally:
            self._under_way.discard(made)
        values = self._values(made.results())
        self._study.tell(trial, values)
        say(f"{title}: {100 * values[0]:.2f} %")

    def _watch(self, trial: Any, made: TrialRun) -> bool:
        """Report every task; return whether the trial is to be pruned."""
        values = []
        prunes = self._config.prune and not self._config.with_processor_time
        for task, metrics in enumerate(made.tasks()):
            if self._is_stopped.is_set():
                raise KeyboardInterrupt
            values.append(metrics[_OF_TASK[self._config.objective]])
            if not prunes:
                continue
            mean = float(np.mean(values))
            is_mean = self._config.objective == "average_incremental_accuracy"
            if task not in self._reported(trial):
                trial.report(mean if is_mean else values[-1], task)
            if trial.should_prune():
                return True
        return False

    def _reported(self, trial: Any) -> Mapping[int, float]:
        found: Mapping[int, float] = self._study._storage.get_trial(
            trial._trial_id
        ).intermediate_values
        return found

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

    @cached_property
    def _measured(self) -> dict[str, str]:
        """Settings by which trials are measured on validation images."""
        source = self._state.config.source
        has_own = ProjectRun(
            self._state.project, RunSpec(self._state.env, self._given)
        ).state.tasks.source.has_validation
        if source.validation_fraction is not None or has_own:
            return {"source.evaluate_on": "validation"}
        share = str(self._config.validation_fraction)
        return {
            "source.evaluate_on": "validation",
            "source.validation_fraction": share,
        }

    @property
    def _given(self) -> dict[str, str]:
        pairs = dotted(result_overrides(self._state.overrides))
        return {name: value for name, _, value in (p.partition("=") for p in pairs)}

    @property
    def _present_settings(self) -> dict[str, Any] | None:
        """The session's own values, if the space holds all of them."""
        config = self._state.config
        own_of_method = {"baseline_settings": asdict(config.method.settings)}
        found: dict[str, Any] = {}
        for dimension in self._config.dimensions:
            value: Any = result_settings(config) | own_of_method
            for part in dimension.name.split("."):
                if not isinstance(value, Mapping) or part not in value:
                    return None  # of an encoder, and left to it
                value = value[part]
            if not dimension.holds(value):
                return None
            found[dimension.name] = value
        return found

    def _trials(self) -> list[Any]:
        """Trials that have begun; one that only waits is there after a kill."""
        from optuna.trial import TrialState

        found: list[Any] = self._study.get_trials(deepcopy=False)
        return [trial for trial in found if trial.state != TrialState.WAITING]

    def _project_run(self, settings: Mapping[str, Any]) -> ProjectRun:
        given = self._given | self._measured
        given |= {name: _text(value) for name, value in settings.items()}
        return ProjectRun(self._state.project, RunSpec(self._state.env, given))

    def _settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a trial's settings, numbers from ranges rounded."""
        return {
            dimension.name: params[dimension.name]
            if dimension.choices or dimension.is_whole
            else float(f"{params[dimension.name]:.{_DIGITS}g}")
            for dimension in self._config.dimensions
        }

    def _outcome(self) -> StudyOutcome:
        from optuna.trial import TrialState

        complete = [t for t in self._trials() if t.state == TrialState.COMPLETE]
        if not complete:
            raise InputError(
                f"study {self._config.name}: none of {len(self._trials())} trials is "
                f"complete; {self._folder} has their logs"
            )
        best = max(complete, key=lambda t: (t.values[0], -t.number))
        settings = self._settings(best.params)
        path = write_environment(
            self._state, settings, best.values[0], best.number, len(self._trials())
        )
        say(
            f"Best of {len(self._trials())} trials: {best.number}, "
            f"{100 * best.values[0]:.2f} % on validation images; written to {path}. "
            "Measure it on the test images:\n"
            f"  kedro run --env {self._config.name}"
        )
        return StudyOutcome(
            [self._row(trial) for trial in self._trials()],
            best.number,
            best.values[0],
            settings,
            path,
        )

    def _row(self, trial: Any) -> dict[str, Any]:
        values = trial.values or [None, None]
        row = {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "value": values[0],
            "tasks": len(trial.intermediate_values),
            "run_key": trial.user_attrs.get("run_key"),
        }
        if self._config.with_processor_time:
            row["processor_seconds"] = values[-1]
        return row | self._settings(trial.params)


_OF_TASK = {
    "average_incremental_accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
}
"""Metric of a task for each objective, and of a run."""
_OF_RUN = {
    "average_incremental_accuracy": "average_incremental_accuracy",
    "balanced_accuracy": "last_balanced_accuracy",
}


def _suggest(trial: Any, dimension: Dimension) -> None:
    name, low, high = dimension.name, dimension.low, dimension.high
    if dimension.choices:
        trial.suggest_categorical(name, dimension.choices)
    elif dimension.is_whole:
        step = 1 if dimension.step is None else dimension.step
        trial.suggest_int(name, low, high, step=step, log=dimension.is_log)
    else:
        trial.suggest_float(name, low, high, step=dimension.step, log=dimension.is_log)


def _text(value: Any) -> str:
    """Write a value as ``--params`` takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
