"""Log of what a served model has answered, for the pipeline ``monitor``.

It holds answers and embeddings, no image. Several processes may write to one file.
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

VARIABLE = "DAFORMER_REQUEST_LOG"
"""Variable of the environment that names the folder; without it nothing is logged."""
MOST_BYTES = 64 << 20
"""Of one day's file; what comes after is answered and not logged."""

_LOGGED = ("class_1", "probability_1", "unknown_score", "is_unknown")
_LOGGER = logging.getLogger(__name__)


class RequestLog:
    """Appends to ``requests-YYYY-MM-DD.jsonl``, a file for each day in UTC.

    A log that cannot be written costs no answer: that is said once and left at that.

    Args:
        folder: is made if it is not there.
        model: name of the model, in every line.
        most_bytes: largest size of a file.
    """

    def __init__(self, folder: Path, model: str, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._model = model
        self._most_bytes = most_bytes
        self._said: set[str] = set()

    @classmethod
    def from_environment(cls, model: str) -> RequestLog | None:
        """Return the log that :data:`VARIABLE` asks for, if any."""
        folder = os.environ.get(VARIABLE)
        return cls(Path(folder), model) if folder else None

    def append(self, table: pd.DataFrame, embeddings: Tensor) -> None:
        """Append a line for each image.

        Args:
            table: N answers, see
                :meth:`~daformer_kedro.serving.classifier.Classifier.classify`.
            embeddings: (N, E).
        """
        now = datetime.now(UTC)
        content = "".join(
            json.dumps({"time": now.isoformat(timespec="milliseconds"), **row}) + "\n"
            for row in self._rows(table, embeddings)
        ).encode()
        path = self._folder / f"requests-{now.date()}.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(path) as file:
                is_written = self._write(file, content)
        except OSError as error:
            self._say(f"{path} cannot be written: {error.strerror}")
            return
        if not is_written:
            self._say(f"{path} has reached {self._most_bytes} bytes: no more is logged")

    def _rows(
        self, table: pd.DataFrame, embeddings: Tensor
    ) -> Iterator[dict[str, Any]]:
        plain = table[list(_LOGGED)].astype(object).where(table.notna(), None)
        halves = embeddings.half().cpu().numpy().astype("<f2")
        for row, numbers in zip(plain.to_dict("records"), halves, strict=True):
            values = {str(name): _value(value) for name, value in row.items()}
            text = base64.b64encode(numbers.tobytes()).decode()
            yield {"model": self._model, **values, "embedding": text}

    def _write(self, file: int, content: bytes) -> bool:
        """Write all of it or nothing; return whether there was room."""
        size = os.fstat(file).st_size
        # A process that was killed may have left the last line unfinished.
        if size and os.pread(file, 1, size - 1) != b"\n":
            content = b"\n" + content
        if size + len(content) > self._most_bytes:
            return False
        try:
            written = 0
            while written < len(content):
                written += os.write(file, content[written:])
        except OSError:
            os.ftruncate(file, size)
            raise
        return True

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            _LOGGER.warning("Request log: %s", message)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read a log, and count the lines that are damaged."""
    rows, num_damaged = [], 0
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                rows.append(row)
            else:
                num_damaged += 1
    return rows, num_damaged
