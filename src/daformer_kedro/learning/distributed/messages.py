"""Messages of ranks to the process that started them, as lines of a file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daformer_kedro.learning.progress import EpochRecord, announce

_LOGGER = logging.getLogger(__name__)


class Sender(logging.Handler):
    """Writes what happens in the leader rank: epochs, warnings, the error at the end.

    A line is written in one piece, so that a reader sees whole lines and a killed
    rank leaves at most one half.

    Args:
        path: the file; it is appended to.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = path

    def on_epoch(self, record: EpochRecord) -> None:
        """Report an epoch."""
        self.send("epoch", vars(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a warning on."""
        self.send("log", {"level": record.levelno, "text": record.getMessage()})

    def send(self, kind: str, content: dict[str, Any]) -> None:
        """Write one message."""
        line = json.dumps({"kind": kind, **content}, allow_nan=False) + "\n"
        with self._path.open("ab", buffering=0) as file:
            # A line that a killed rank left half must not spoil this one.
            file.write(b"\n" * self._ends_within_a_line() + line.encode())

    def _ends_within_a_line(self) -> bool:
        with self._path.open("rb") as file:
            if not file.seek(0, 2):
                return False
            file.seek(-1, 2)
            return file.read(1) != b"\n"


class Receiver:
    """Reads them, and reports every epoch once to this process's observers.

    Ranks that were restarted report again what came before.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._num_epochs = 0
        self._num_starts = 0
        self.error: dict[str, Any] | None = None

    def relay(self) -> None:
        """Pass on what has come since the last call."""
        for message in self._new():
            kind = message.pop("kind")
            if kind == "epoch":
                self._on_epoch(EpochRecord(**message))
            elif kind == "log":
                _LOGGER.log(message["level"], "%s", message["text"])
            elif kind == "started":
                self._num_starts += 1
                if self._num_starts > 1:
                    _LOGGER.warning(
                        "A rank failed: all were restarted, from the last saved state"
                    )
            else:
                self.error = message

    def _on_epoch(self, record: EpochRecord) -> None:
        if record.epoch == self._num_epochs:
            self._num_epochs += 1
            announce(record)

    def _new(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            for line in file.read().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                try:
                    yield json.loads(line)
                except ValueError:  # half a line, of a rank that was killed
                    continue
