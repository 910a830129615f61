"""Trials of a study: what Optuna proposes, and what has become of it.

Optuna is an optional part of the installation and imported only where a study runs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from daformer_kedro.config.keys import result_settings, study_key
from daformer_kedro.config.sections import Config
from daformer_kedro.config.study_section import Dimension
from daformer_kedro.runs.search_space import search_space
from daformer_kedro.storage.sqlite_uri import sqlite_uri

_DIGITS = 4
"""Significant digits of a number that is drawn from a range."""


class Trials:
    """A study as Optuna stores it, in a SQLite file that is made where there is none.

    Args:
        config: of the session: the settings that are not searched, and ``study``.
        folder: of the file.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        import optuna

        from daformer_kedro.runs.pruning import TaskMedianPruner

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._config = config
        self._dimensions = search_space(config)
        self._asking = threading.Lock()
        self._pruner = TaskMedianPruner()
        minimised: list[Any] = ["minimize"] if config.study.with_processor_time else []
        self._study: Any = optuna.create_study(
            study_name=study_key(config),
            storage=sqlite_uri(str(folder / "study.db")),
            directions=["maximize", *minimised],
            pruner=self._pruner,
            load_if_exists=True,
        )

    def __len__(self) -> int:
        return len(self._begun())

    @property
    def unfinished(self) -> list[int]:
        """Optuna's identifiers of trials that were interrupted."""
        return [t._trial_id for t in self._begun() if not t.state.is_finished()]

    def ask(self, trial_id: int | None) -> Any:
        """Propose settings, or take up a trial that was interrupted.

        The sampler is seeded for each trial, so that an interruption changes none. The
        first one has the session's own settings, if the space holds them.

        Args:
            trial_id: of the interrupted trial; ``None`` for a new one.
        """
        from optuna.samplers import TPESampler
        from optuna.trial import Trial

        with self._asking:
            number = len(self)
            if trial_id is not None:
                number = self._study._storage.get_trial(trial_id).number
            seed = np.random.SeedSequence([self._config.study.seed, number])
            self._study.sampler = TPESampler(seed=int(seed.generate_state(1)[0]))
            present = present_settings(self._config)
            if number == 0 and trial_id is None and present is not None:
                self._study.enqueue_trial(present, skip_if_exists=True)
            trial = (
                self._study.ask() if trial_id is None else Trial(self._study, trial_id)
            )
            for dimension in self._dimensions:
                _suggest(trial, dimension)
        return trial

    def report(self, trial: Any, accuracies: Sequence[float]) -> bool:
        """Note the result after a task; return whether the trial is to be pruned.

        Args:
            trial: see :meth:`ask`.
            accuracies: after each task so far, fractions of 1.
        """
        study = self._config.study
        if not study.prune or study.with_processor_time:
            return False
        task = len(accuracies) - 1
        stored = self._stored(trial)
        value = stored.intermediate_values.get(task)  # before an interruption
        if value is None:
            is_mean = study.objective == "average_incremental_accuracy"
            value = float(np.mean(accuracies)) if is_mean else accuracies[-1]
            trial.report(value, task)
        return self._pruner.is_hopeless(self._study, task, value)

    def prune(self, trial: Any) -> None:
        """End a trial early."""
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.PRUNED)

    def count_kill(self, trial: Any) -> int:
        """Note that a trial's process was killed; return how often it has been."""
        number = int(self._stored(trial).user_attrs.get("kills", 0)) + 1
        trial.set_user_attr("kills", number)
        return number

    def fail(self, trial: Any) -> None:
        """End a trial whose settings cannot be run, or whose run has failed."""
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.FAIL)

    def complete(self, trial: Any, values: Sequence[float]) -> None:
        """End a trial with its objectives."""
        self._study.tell(trial, list(values))

    def settings(self, trial: Any) -> dict[str, Any]:
        """Return a trial's settings by dotted name, numbers from ranges rounded."""
        return {
            dimension.name: trial.params[dimension.name]
            if dimension.choices or dimension.is_whole
            else float(f"{trial.params[dimension.name]:.{_DIGITS}g}")
            for dimension in self._dimensions
        }

    def best(self) -> Any | None:
        """Return the most accurate complete trial, the quickest of equal ones.

        Of those the first: no other beats it in both objectives.
        """
        from optuna.trial import TrialState

        complete = [t for t in self._begun() if t.state == TrialState.COMPLETE]

        def rank(trial: Any) -> tuple[float, ...]:
            value, *seconds = trial.values
            return (value, *(-number for number in seconds), -trial.number)

        return max(complete, key=rank, default=None)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row per trial, see ``StudyOutcome.trials``."""
        from optuna.trial import TrialState

        rows = []
        front = {trial.number for trial in self._study.best_trials}
        for trial in self._begun():
            is_complete = trial.state == TrialState.COMPLETE  # or Optuna has the last
            values = trial.values if is_complete else [None, None]
            row = {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "value": values[0],
                "tasks": len(trial.intermediate_values),
                "run_key": trial.user_attrs.get("run_key"),
            }
            if self._config.study.with_processor_time:
                row["processor_seconds"] = values[-1]
                row["on_front"] = trial.number in front
            rows.append(row | self.settings(trial))
        return rows

    def _begun(self) -> list[Any]:
        """Trials but one that only waits, as it does after a kill while asking."""
        from optuna.trial import TrialState

        found: list[Any] = self._study.get_trials(deepcopy=False)
        return [trial for trial in found if trial.state != TrialState.WAITING]

    def _stored(self, trial: Any) -> Any:
        return self._study._storage.get_trial(trial._trial_id)


def present_settings(config: Config) -> dict[str, Any] | None:
    """Return the session's own values of what is searched.

    Returns:
        By dotted name; ``None`` where the space does not hold all of them.
    """
    settings = result_settings(config)
    settings["baseline_settings"] = asdict(config.method.settings)  # with defaults
    found: dict[str, Any] = {}
    for dimension in search_space(config):
        value: Any = settings
        for part in dimension.name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None  # of an encoder, and left to it
            value = value[part]
        if not dimension.holds(value):
            return None
        found[dimension.name] = value
    return found


def _suggest(trial: Any, dimension: Dimension) -> None:
    name, low, high = dimension.name, dimension.low, dimension.high
    if dimension.choices:
        trial.suggest_categorical(name, dimension.choices)
    elif dimension.is_whole:
        step = 1 if dimension.step is None else dimension.step
        trial.suggest_int(name, low, high, step=step, log=dimension.is_log)
    else:
        trial.suggest_float(name, low, high, step=dimension.step, log=dimension.is_log)
