"""A lock for one process at a time, which ends with its holder and names it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from daformer_kedro.errors import InputError

_PAUSE = 0.1  # seconds between two attempts


@dataclass(frozen=True)
class Holder:
    """A process and what it was started for."""

    pid: int
    host: str
    command: str
    since: str

    @classmethod
    def this_process(cls) -> Holder:
        """Describe the process that asks."""
        name = Path(sys.argv[0]).name or "python"
        return cls(
            pid=os.getpid(),
            host=socket.gethostname(),
            command=" ".join([name, *sys.argv[1:]]),
            since=datetime.now().astimezone().isoformat(timespec="seconds"),
        )


class Lock:
    """A lock file.

    Args:
        path: the file; it is there while the lock is held.
        what: what it guards, for the message.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        self._descriptor: int | None = None

    def acquire(self, *, patience: float = 0.0) -> None:
        """Take the lock.

        Args:
            patience: seconds to wait for another process to give it back.

        Raises:
            InputError: another process holds it (the message says which), or the file
                cannot be written.
        """
        end = time.monotonic() + patience
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while self._descriptor is None:
                try:
                    self._try()
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise InputError(self._held()) from None
                    time.sleep(_PAUSE)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._descriptor is None:
            return
        # Removed while it is still held, so that nobody finds a file without holder.
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def _try(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_current(descriptor):
                os.ftruncate(descriptor, 0)
                text = json.dumps(asdict(Holder.this_process()))
                os.write(descriptor, text.encode())
                self._descriptor = descriptor
        finally:
            if self._descriptor is None:
                os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        # Its holder may have removed the file between our opening and locking it.
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _held(self) -> str:
        holder = self._read_holder()
        if holder is None:
            return f"{self.what} is being written by another process ({self.path})"
        return (
            f"{self.what} is being written by process {holder.pid} on {holder.host}, "
            f"since {holder.since}: {holder.command}\n"
            "Wait for it or stop it; runs with other settings are not affected."
        )

    def _read_holder(self) -> Holder | None:
        for _ in range(20):  # a holder writes its name just after it has the lock
            try:
                return Holder(**json.loads(self.path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                time.sleep(0.05)
        return None
