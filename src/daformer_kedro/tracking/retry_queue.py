"""Queue of calls to MLflow, kept while its server or database does not answer."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from mlflow.exceptions import MlflowException

_LOGGER = logging.getLogger("daformer_kedro.tracking")
_FIRST_PAUSE = 60.0  # seconds
_LONGEST_PAUSE = 600.0
_LOSS = "some of this run is not logged"


class RetryQueue:
    """Calls MLflow, which must never cost a result.

    After a call that was not answered there is a pause, longer from failure to failure:
    a database that is locked makes every call wait, 20 seconds with SQLite. What could
    not be sent is kept and sent in order: with what follows the pause, and at the end
    of the run. What is refused is left out. Each is reported once a run.

    Args:
        clock: seconds that only grow, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.reset()

    def __len__(self) -> int:
        """Return the number of entries that wait to be sent."""
        return len(self._waiting)

    def reset(self) -> None:
        """Forget an earlier run's entries and failures."""
        self._waiting: deque[Callable[[], object]] = deque()
        self._not_before = -float("inf")
        self._pause = _FIRST_PAUSE
        self._warned: set[str] = set()

    def send(self, action: Callable[[], object]) -> None:
        """Call ``action`` now or later; it raises nothing."""
        self._waiting.append(action)
        if self._clock() >= self._not_before:
            self._flush()

    def attempt(self, action: Callable[[], object], *, in_pause: bool = False) -> bool:
        """Call ``action`` now or never, and return whether it worked.

        Args:
            action: what to call.
            in_pause: also during a pause, for what comes last.
        """
        if self._clock() < self._not_before and not in_pause:
            return False
        answer, reason = self._call(action)
        if answer != "done":
            self._warn(_LOSS, reason)
        return answer == "done"

    def close(self) -> None:
        """Try once more, and report what could not be sent."""
        self._flush()
        if self._waiting:
            self._warned.discard(_LOSS)
            self._warn(_LOSS, f"{len(self)} entries could not be sent")
            self._waiting.clear()

    def _flush(self) -> None:
        while self._waiting:
            answer, reason = self._call(self._waiting[0])
            if answer == "away":
                self._warn("it does not answer and gets the log later", reason)
                return
            if answer == "refused":
                self._warn(_LOSS, reason)
            self._waiting.popleft()

    def _call(
        self, action: Callable[[], object]
    ) -> tuple[Literal["done", "refused", "away"], str]:
        """Call once, and return the answer with the reason for a failure."""
        try:
            action()
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if not is_away(error):
                return "refused", reason
            self._not_before = self._clock() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return "away", reason
        self._pause = _FIRST_PAUSE
        return "done", ""

    def _warn(self, what: str, reason: str) -> None:
        if what not in self._warned:
            _LOGGER.warning(
                "MLflow: %s, the results are not affected: %s", what, reason
            )
        self._warned.add(what)


def is_away(error: BaseException) -> bool:
    """Return whether an error of MLflow's means "not now" rather than "not so"."""
    from sqlalchemy.exc import OperationalError  # not needed to list pipelines

    if isinstance(error, MlflowException):
        return error.get_http_status_code() >= 500
    return isinstance(error, ConnectionError | TimeoutError | OperationalError) or (
        # The exceptions of requests are OSErrors; a file that is not there is no
        # trouble of the server's.
        isinstance(error, OSError) and error.errno is None
    )
