"""Identities of processes, and whether they still live."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from daformer_kedro.storage.whole_files import is_alive


def identity() -> str:
    """Host, number and start of this process; numbers are used again, starts not."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start(os.getpid())}"


def is_dead(process: str) -> bool:
    """Whether the process of that identity is known to have ended.

    Of another host's processes nothing is known.
    """
    host, _, rest = process.partition(":")
    pid, _, start = rest.partition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    return not is_alive(int(pid)) or _start(int(pid)) != start


def _start(pid: int) -> str:
    """Clock ticks from boot to the start of a process, where the system says so."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    # The second field, the program's name, may hold blanks and parentheses.
    return text.rpartition(")")[2].split()[19]
