"""Pruner of trials whose curve falls from task to task."""

from __future__ import annotations

from statistics import median

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

_NUM_STARTUP = 4
"""Trials that must be complete before any is pruned."""


class TaskMedianPruner(BasePruner):
    """Prune a trial that is below the median of complete ones after the same task.

    The first task prunes nothing: before there is anything to forget, differences are
    those of a few images.

    Optuna's own compares the best value *so far*. Accuracy falls with every task, so
    that would be the first task's, where all settings are alike.
    """

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Decide by the last value that was reported."""
        step = trial.last_step
        if step is None:
            return False
        return self.is_hopeless(study, step, trial.intermediate_values[step])

    def is_hopeless(self, study: Study, task: int, value: float) -> bool:
        """Decide after any task, also one before an interruption.

        Args:
            study: with the other trials.
            task: after which ``value`` was reported.
            value: of the trial that may be pruned.
        """
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not task or len(complete) < _NUM_STARTUP:
            return False
        others = [
            other.intermediate_values[task]
            for other in complete
            if task in other.intermediate_values
        ]
        return bool(others) and value < median(others)
