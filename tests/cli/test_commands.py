"""The commands that a user types, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def kedro(
    *arguments: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    executable = Path(sys.executable).with_name("kedro")
    return subprocess.run(
        [str(executable), *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def run_output(untouched: Any) -> str:
    finished = kedro("run", "--env", "test", cwd=untouched.path)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_a_run_prints_its_table_and_the_next_commands(run_output: str) -> None:
    assert re.search(r"task +classes +accuracy +top-5", run_output)
    assert len(re.findall(r"^ +\d +(?:4|7|10) +\d+\.\d\d", run_output, re.M)) == 3
    for words in (
        "Average incremental accuracy",
        "Last accuracy",
        "Forgetting",
        "data/08_reporting/test_S_order-identity_seed0_",
        "kedro mlflow ui",
        "kedro viz run",
        "kedro run --env cifar100_mini --params source.path=DIR",
    ):
        assert words in run_output


def test_a_run_tells_how_every_phase_went(run_output: str) -> None:
    phases = re.findall(
        r"^task \d (?:train|finetune): \d epochs, loss", run_output, re.M
    )
    assert len(phases) == 5


def test_output_is_free_of_warnings_of_other_packages(run_output: str) -> None:
    assert "Warning" not in run_output
    assert "INFO" not in run_output


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            "training.epoch=3",
            "training.epoch is not a parameter. Did you mean epochs? Allowed here: ",
        ),
        (
            "memory.total=3",
            "memory.total = 3 is smaller than the 10 classes; every class "
            "needs at least one exemplar",
        ),
    ],
)
def test_a_mistake_is_one_message_without_a_traceback(
    project: Any, params: str, message: str
) -> None:
    ended = kedro("run", "--env", "test", "--params", params, cwd=project.path)
    assert ended.returncode == 1
    assert message in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not project.files()


def test_unreadable_data_is_one_message_too(project: Any) -> None:
    folder = project.path / "cifar"
    folder.mkdir()
    for name in ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"):
        (folder / name).write_bytes(b"PAR1 this is no parquet file")
    ended = kedro(
        "run",
        "--env",
        "cifar100_mini",
        "--params",
        "source.path=cifar",
        cwd=project.path,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert "train-00000-of-00001.parquet" in said
    assert "Traceback" not in said
    assert not project.files()


def test_registry_list_shows_the_pipelines_of_the_environment(untouched: Any) -> None:
    shown = kedro("registry", "list", cwd=untouched.path, KEDRO_ENV="cifar100_10-10")
    names = re.findall(r"^- (\w+)$", shown.stdout, re.M)
    tasks = [f"task_{number:02d}" for number in range(10)]
    assert names == [
        "__default__",
        "comparison",
        "evaluation",
        "export",
        "inference",
        "ingestion",
        "monitor",
        "study",
        *tasks,
    ]


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (
            ["run", "--env", "tset"],
            "",
            "--env tset: there is no .* Did you mean test",
        ),
        (["registry", "list"], "tset", "--env tset: there is no .*/conf/tset"),
        (["registry", "list"], "image_folder", "source.path = .*: is not a folder"),
        (
            ["run", "--env", "test", "--runner", "ThredRunner"],
            "",
            "--runner ThredRunner: allowed: SequentialRunner",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    untouched: Any, words: list[str], environment: str, message: str
) -> None:
    given = {"KEDRO_ENV": environment} if environment else {}
    ended = kedro(*words, cwd=untouched.path, **given)
    assert ended.returncode == 1
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert re.match(f"Error: {message}", line)


def test_describe_shows_the_nodes_of_one_task(untouched: Any) -> None:
    shown = kedro("registry", "describe", "task_01", cwd=untouched.path)
    assert "task_01.find_teacher_neighbours" in shown.stdout


def test_lines_of_a_subfolder_are_those_of_the_project(untouched: Any) -> None:
    words = ("registry", "describe", "comparison")
    below = kedro(*words, cwd=untouched.path / "conf" / "base")
    assert below.returncode == 0
    assert below.stdout.count("INFO") <= 1  # Kedro names its own file before all else
    assert "WARNING" not in below.stdout + below.stderr
