"""Identities of processes, and whether they still live."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from daformer_kedro.storage.whole_files import is_alive


def identity() -> str:
    """Return host, number and start of this process; numbers alone are used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start(os.getpid())}"


def is_dead(process: str) -> bool:
    """Return whether the process of that identity is known to have ended.

    Nothing is known of another host's processes.
    """
    host, _, rest = process.partition(":")
    pid, _, start = rest.partition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    return not is_alive(int(pid)) or _start(int(pid)) != start


def _start(pid: int) -> str:
    """Return clock ticks from boot to a process's start, if the system knows them."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    # The second field, the program's name, may hold blanks and parentheses.
    return text.rpartition(")")[2].split()[19]
