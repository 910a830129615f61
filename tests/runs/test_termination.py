"""A termination signal reaches the runs of a process that has started some."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from daformer_kedro.runs.grid import Grid, RunSpec, UnfinishedRunError
from daformer_kedro.runs.project_run import ProjectRun

KEDRO = """#!/bin/bash
trap 'echo stopped >> said; exit 130' TERM
echo began >> said
for i in $(seq 200); do sleep 0.05; done
"""


@pytest.mark.filterwarnings("ignore:register_new_resolver")
def test_runs_of_a_grid_end_with_it(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = project.path / "kedro"
    program.write_text(KEDRO)
    program.chmod(0o755)
    monkeypatch.setattr(ProjectRun, "command", [str(program)])
    grid = Grid(project.path, [RunSpec("test", {"seed": str(n)}) for n in range(3)])
    said = project.path / "said"

    def terminate() -> None:
        while not said.exists() or said.read_text().count("began") < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=terminate).start()
    with pytest.raises((KeyboardInterrupt, UnfinishedRunError)):
        grid.finish(jobs=2)
    assert said.read_text().split() == ["began"] * 2 + ["stopped"] * 2
    assert signal.getsignal(signal.SIGTERM) == before
