"""Runs of a study that have not finished: which are resumed, and which have failed."""

from __future__ import annotations

from threading import Event
from typing import Any

from daformer_kedro.runs.project_run import UnfinishedRunError, say
from daformer_kedro.runs.trials import Trials

_GRACE = 1.0  # seconds in which Ctrl+C, which reaches trials too, is known here
_MAX_FAILURES = 3
"""Trials in a row that may fail before the study ends."""
_MAX_KILLS = 2
"""Times that a trial's process may be killed before the trial has failed."""


class Failures:
    """Decides how a study continues after a run that has not finished.

    Args:
        trials: of the study.
        is_stopped: set once somebody has stopped the study.
    """

    def __init__(self, trials: Trials, is_stopped: Event) -> None:
        self._trials = trials
        self._is_stopped = is_stopped
        self._in_a_row = 0

    def is_to_resume(self, trial: Any, error: UnfinishedRunError) -> bool:
        """Return whether a run is resumed at once.

        One that was killed is, since its state is saved; killed again, as one that
        takes too much memory is, the trial has failed.

        Raises:
            KeyboardInterrupt: the study has been stopped.
            UnfinishedRunError: the run was stopped by itself; so is the study.
        """
        if self._is_stopped.wait(_GRACE):
            raise KeyboardInterrupt
        if error.was_stopped:
            raise error
        if not error.was_killed or self._trials.count_kill(trial) >= _MAX_KILLS:
            return False
        say(f"trial {trial.number} was killed and resumes: {error}")
        return True

    def note(self, trial: Any, error: UnfinishedRunError) -> None:
        """End a trial that has failed.

        Raises:
            UnfinishedRunError: so did those before it: the reason must be another than
                their settings.
        """
        self._trials.fail(trial)
        self._in_a_row += 1
        say(f"trial {trial.number} failed: {error}")
        if self._in_a_row >= _MAX_FAILURES:
            raise UnfinishedRunError(
                f"The last {self._in_a_row} trials failed, which is hardly due to "
                "their settings; see above. They count as trials: to have others in "
                "their place, raise study.trials.",
                error.status,
            )

    def end_row(self) -> None:
        """Note that a trial has not failed."""
        self._in_a_row = 0
