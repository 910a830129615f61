"""Environment of the runs that a sweep or a study starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from daformer_kedro.runs.project_run import ProjectRun, RunSpec, start_here
from daformer_kedro.runs.slurm import array_script


class ShownEnvironment(ProjectRun):
    """A run that shows its environment."""

    is_finished = False

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", "import os; print(dict(os.environ))"]

    def wait_for_others(self) -> None:
        """Nobody makes the same run."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectRun:
    monkeypatch.setenv("MLFLOW_RUN_ID", "of-the-sweep")
    monkeypatch.setenv("KEPT", "kept")
    return ShownEnvironment(tmp_path, RunSpec(None, {}))


def test_a_run_on_this_machine_has_its_own_run_in_mlflow(
    run: ProjectRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    assert start_here(run, tmp_path, log, {"GIVEN": "given"}).wait() == 0
    run.finish("1/1", is_shown=True, environment={"GIVEN": "given"})
    for said in (log.read_text(), capfd.readouterr().err):
        assert "'KEPT': 'kept'" in said
        assert "'GIVEN': 'given'" in said
        assert "MLFLOW_RUN_ID" not in said


def test_a_job_of_slurm_has_its_own_run_in_mlflow(
    run: ProjectRun, tmp_path: Path
) -> None:
    assert "\nunset MLFLOW_RUN_ID" in array_script(tmp_path, [run])
