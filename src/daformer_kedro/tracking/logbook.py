"""Writing to MLflow, which must never cost a result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_LOGGER = logging.getLogger("daformer_kedro.tracking")
_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 600.0


class Logbook:
    """Tries to log; what fails is said once a run and left out.

    A database that is locked makes every attempt wait, 20 seconds with SQLite. After a
    failure there is therefore a pause without attempts, longer from failure to failure.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the failures of an earlier run."""
        self._has_warned = False
        self._pause = _FIRST_PAUSE
        self._silent_until = 0.0
        self._closed_until = 0.0

    def attempt(self, action: Callable[[], object], *, must_try: bool = False) -> bool:
        """Log something, and say whether it worked.

        Args:
            action: what to do.
            must_try: also during a pause, unless one of these has failed too; for
                what comes once, at the end.
        """
        now = time.monotonic()
        if now < (self._closed_until if must_try else self._silent_until):
            return False
        try:
            action()
        except Exception as error:
            self._fail(error)
            if must_try:
                self._closed_until = self._silent_until
            return False
        self._pause = _FIRST_PAUSE
        return True

    def _fail(self, error: Exception) -> None:
        self._silent_until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        if not self._has_warned:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            _LOGGER.warning(
                "MLflow: some of this run is not logged, its results are not affected: "
                "%s",
                reason,
            )
        self._has_warned = True


LOGBOOK = Logbook()
"""The one of this process."""
