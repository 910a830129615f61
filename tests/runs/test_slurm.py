"""The script of a job array, run by bash with stand-ins for kedro and scontrol."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daformer_kedro.commands.sweep import main
from daformer_kedro.runs.slurm import array_script

KEDRO = """#!/bin/bash
trap 'echo "stopped $*" >> said; exit 130' TERM
echo "began $*" >> said
for i in $(seq 100); do [ -e finish ] && exit 0; sleep 0.05; done
exit 7
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script of two runs whose ``kedro`` waits for a signal or a file ``finish``."""
    for name, text in (
        ("kedro", KEDRO),
        ("scontrol", '#!/bin/bash\necho "scontrol $*" >> said\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    runs: Any = [
        SimpleNamespace(command=[str(tmp_path / "kedro"), "run", "--params", text])
        for text in ("seed=0", "source.path=a b,seed=1")
    ]
    path = tmp_path / "array.sh"
    path.write_text(array_script(tmp_path, runs))
    return path


def start(script: Path, task: int) -> subprocess.Popen[bytes]:
    folder = script.parent
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_ARRAY_JOB_ID": "12",
        "SLURM_ARRAY_TASK_ID": str(task),
    }
    job = subprocess.Popen(["bash", str(script)], cwd=folder, env=environment)
    while not (folder / "said").exists():
        time.sleep(0.02)
    return job


def test_a_job_whose_time_is_up_stops_its_run_and_queues_it_again(script: Path) -> None:
    job = start(script, 2)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(10) == 0
    assert (script.parent / "said").read_text().splitlines() == [
        "began run --params source.path=a b,seed=1",
        "stopped run --params source.path=a b,seed=1",
        "scontrol requeue 12_2",
    ]


def test_a_cancelled_job_stops_its_run_and_is_not_queued_again(script: Path) -> None:
    job = start(script, 1)
    job.send_signal(signal.SIGTERM)
    assert job.wait(10) == 143
    assert (script.parent / "said").read_text().splitlines() == [
        "began run --params seed=0",
        "stopped run --params seed=0",
    ]


def test_a_job_ends_with_the_status_of_its_run(script: Path) -> None:
    job = start(script, 1)
    (script.parent / "finish").touch()
    assert job.wait(10) == 0
    assert (script.parent / "said").read_text() == "began run --params seed=0\n"


def test_slurm_is_asked_for_a_signal_and_for_the_queue(script: Path) -> None:
    text = script.read_text()
    assert "#SBATCH --array=1-2\n" in text
    assert "#SBATCH --requeue\n#SBATCH --signal=B:USR1@120\n" in text


@pytest.mark.filterwarnings("ignore:register_new_resolver")
def test_sweep_writes_what_is_missing_and_runs_nothing(
    project: Any, capsys: pytest.CaptureFixture
) -> None:
    assert main(["--protocol", "test", "--seeds", "0,1", "--slurm"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("#!/bin/bash\n")
    assert "--env test --params seed=1 ;;" in said.out
    assert "2 runs. Save this as FILE" in said.err
    assert not (project.path / "data" / "08_reporting").exists()


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--ray", "--slurm"]])
def test_places_that_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
