"""Queue of what is to be sent to the tracking server, kept while it does not answer."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from mlflow.exceptions import MlflowException

_LOGGER = logging.getLogger(__name__)
_FIRST_PAUSE = 30.0  # seconds
_LONGEST_PAUSE = 600.0


class Outbox:
    """Sends in order; a run log must never cost a result.

    What the server cannot take now is kept and sent later: with what follows it, once
    a pause has passed, and at the end of the run. What is still there then is reported.
    What the server refuses is left out, and said once.

    Args:
        clock: seconds that only grow, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()
        self._begin()

    def __len__(self) -> int:
        """Entries that wait to be sent."""
        return len(self._waiting)

    def send(self, action: Callable[[], object]) -> None:
        """Run ``action``, now or later; it raises nothing."""
        self._waiting.append(action)
        if self._clock() >= self._not_before:
            self._flush()

    def close(self) -> None:
        """Try once more, and report what could not be sent."""
        self._flush()
        if self._waiting:
            _LOGGER.warning(
                "MLflow: %d entries of this run's log could not be sent. The results "
                "themselves are whole, in the data folder.",
                len(self._waiting),
            )
        self._waiting.clear()
        self._begin()

    def _begin(self) -> None:
        self._not_before = -float("inf")
        self._pause = _FIRST_PAUSE
        self._has_warned = False

    def _flush(self) -> None:
        while self._waiting:
            try:
                self._waiting[0]()
            except Exception as error:
                if is_away(error):
                    # SQLite makes every attempt wait 20 seconds for a lock.
                    self._not_before = self._clock() + self._pause
                    self._pause = min(2 * self._pause, _LONGEST_PAUSE)
                    self._warn("it does not answer and is told later", error)
                    return
                self._warn("some of this run is not logged", error)
            else:
                self._pause = _FIRST_PAUSE
            self._waiting.popleft()

    def _warn(self, what: str, error: Exception) -> None:
        if not self._has_warned:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            _LOGGER.warning(
                "MLflow: %s, the results of the run are not affected: %s", what, reason
            )
        self._has_warned = True


def is_away(error: BaseException) -> bool:
    """Whether an error of MLflow's means "not now" rather than "not so"."""
    if isinstance(error, MlflowException):
        return error.get_http_status_code() >= 500
    return isinstance(error, ConnectionError | TimeoutError) or (
        # The exceptions of requests are OSErrors; a file that is not there is no
        # trouble of the server's.
        isinstance(error, OSError) and error.errno is None
    )
