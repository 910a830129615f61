"""Preparation of every command of Kedro in this project."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from kedro.framework.cli.hooks import cli_hook_impl

from daformer_kedro.terminal import print_any_character

_PACKAGE = __name__.partition(".")[0]
_SERVERS = ("mlflow", "server", "viz")
"""Groups of commands that start servers as processes of their own."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 10.0
"""Seconds until a process that was asked to end is killed."""


class CommandHooks:
    """Output in any encoding; servers that end with all that they have started.

    Kedro's plugins leave their servers running where they are ended by a signal.
    """

    @cli_hook_impl
    def before_command_run(
        self, project_metadata: Any, command_args: list[str]
    ) -> None:
        """Set up terminal and PATH, and how ``kedro mlflow ui`` and ``viz run`` end."""
        if (
            getattr(project_metadata, "package_name", None)
            != __name__.partition(".")[0]
        ):
            return  # another project
        print_any_character()
        # kedro mlflow ui looks for mlflow there, also where nothing is activated.
        programs = str(Path(sys.executable).parent)
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
        if command_args and command_args[0] in _SERVERS:
            for number in _SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:  # by nohup, for example
                    signal.signal(number, _end_all)


def _end_all(number: int, frame: FrameType | None) -> None:
    """End every process below this one, then this one as the signal would have."""
    for later in _SIGNALS:
        signal.signal(later, signal.SIG_IGN)
    end(psutil.Process().children(recursive=True))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def end(processes: list[psutil.Process]) -> None:
    """Ask processes to end; kill those that have not after ten seconds."""
    for process in processes:
        _send(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=_PATIENCE)
    for process in alive:
        _send(process, signal.SIGKILL)


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


command_hooks = CommandHooks()
