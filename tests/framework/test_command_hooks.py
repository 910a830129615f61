"""Whatever a command that serves pages has started ends with it."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SERVE = """
import signal, subprocess, sys
from types import SimpleNamespace
from daformer_kedro.framework.command_hooks import command_hooks

# Not as inherited: the tests themselves may run under nohup.
under_nohup = sys.argv[1] == "nohup"
signal.signal(signal.SIGHUP, signal.SIG_IGN if under_nohup else signal.SIG_DFL)
project = SimpleNamespace(package_name="daformer_kedro")
command_hooks.before_command_run(project, ["mlflow", "ui"])
subprocess.call([sys.executable, "-c", '''
import subprocess
subprocess.Popen(["sleep", "600"])
subprocess.call(["sleep", "600"])
'''])
"""


def wait_for_others(server: Any, count: int) -> None:
    for _ in range(300):
        if len(server.others()) == count:
            return
        time.sleep(0.1)
    raise AssertionError(server.log.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_servers_children_and_theirs(
    started: Any, tmp_path: Path, number: signal.Signals
) -> None:
    with started([sys.executable, "-c", SERVE, "serve"], cwd=tmp_path) as server:
        wait_for_others(server, 3)
        server.process.send_signal(number)
        assert server.process.wait(30) == -number
        assert server.others() == []


def test_a_server_under_nohup_outlives_its_terminal(
    started: Any, tmp_path: Path
) -> None:
    with started([sys.executable, "-c", SERVE, "nohup"], cwd=tmp_path) as server:
        wait_for_others(server, 3)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert server.process.poll() is None
        assert len(server.others()) == 3
