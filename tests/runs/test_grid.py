"""Grids of runs: what is made, what is not made again, where they stop."""

from __future__ import annotations

from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.reuse.attempt_log import Attempt, AttemptLog
from daformer_kedro.runs import project_run as module
from daformer_kedro.runs.grid import (
    Grid,
    RunSpec,
    UnfinishedRunError,
    parse_parameters,
)
from daformer_kedro.storage.lock import Lock

# Kedro calls what OmegaConf gives up.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")

SEEDS = [RunSpec("test", {"seed": str(seed)}) for seed in range(3)]


class Kedro:
    """Stands in for the commands: notes them, and answers with a status."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **options: Any) -> Any:
        self.commands.append(command[1:])
        status = self.statuses.pop(0) if self.statuses else 0
        return SimpleNamespace(
            returncode=status, communicate=lambda: (b"what went wrong\n", None)
        )


@pytest.fixture
def kedro(monkeypatch: pytest.MonkeyPatch) -> Kedro:
    kedro = Kedro()
    monkeypatch.setattr(module.subprocess, "Popen", kedro)
    return kedro


def store_results(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")


def test_a_run_is_what_a_user_would_type() -> None:
    spec = RunSpec("test", {"source.path": "a b", "seed": "1"})
    assert str(spec) == (
        "kedro run --only-missing-outputs --env test --params 'source.path=a b,seed=1'"
    )
    assert str(RunSpec(None, {})) == "kedro run --only-missing-outputs"


def test_parameters_are_read_as_kedro_reads_them() -> None:
    assert parse_parameters("a.b=1, c=x=y,") == {"a.b": "1", "c": "x=y"}
    assert parse_parameters("") == {}


@pytest.mark.slow
def test_a_finished_run_is_found_and_not_made_again(
    finished: Any, kedro: Kedro
) -> None:
    (folder,) = Grid(finished.path, [RunSpec("test", {})]).finish()
    assert folder == finished.folder("08_reporting")
    assert kedro.commands == []


def test_what_is_missing_is_made_in_order(project: Any, kedro: Kedro) -> None:
    grid = Grid(project.path, SEEDS)
    store_results(grid.runs[1].folder)
    folders = grid.finish()
    assert [words[-1] for words in kedro.commands] == ["seed=0", "seed=2"]
    assert [folder.name for folder in folders] == grid.run_keys
    assert len(set(grid.run_keys)) == 3


def test_an_interrupted_run_is_not_finished(project: Any, kedro: Kedro) -> None:
    grid = Grid(project.path, SEEDS[:1])
    store_results(grid.runs[0].folder)  # of an earlier time
    journal = AttemptLog(project.path / "data" / "journal", grid.run_keys[0])
    journal.note({"pipeline_names": ["__default__"]}, Attempt.begin(["a"]))
    grid.finish()
    assert len(kedro.commands) == 1


def test_a_run_that_another_process_makes_is_waited_for(
    project: Any, kedro: Kedro, capsys: pytest.CaptureFixture
) -> None:
    grid = Grid(project.path, SEEDS[:1])
    path = project.path / "data" / "journal" / f"{grid.run_keys[0]}.lock"
    lock = Lock(path, "The run")
    lock.acquire()

    def end() -> None:
        store_results(grid.runs[0].folder)
        lock.release()

    Timer(0.8, end).start()
    grid.finish()
    assert kedro.commands == []  # the other one's results are there
    assert "Waiting. The run is being written by process" in capsys.readouterr().err

    (run,) = Grid(project.path, SEEDS[1:2]).runs
    lock = Lock(path.with_name(f"{run.state.run_key}.lock"), "The run")
    lock.acquire()
    Timer(0.8, run.give_up).start()
    with pytest.raises(UnfinishedRunError, match="seed=1 was not begun"):
        run.finish("[1/1]", is_shown=True)
    lock.release()
    assert kedro.commands == []


def test_a_failure_ends_the_grid(project: Any, kedro: Kedro) -> None:
    kedro.statuses = [0, 7]
    with pytest.raises(UnfinishedRunError, match="seed=1 ended with status 7") as ended:
        Grid(project.path, SEEDS).finish()
    assert ended.value.status == 7
    assert len(kedro.commands) == 2


def test_what_several_runs_say_is_shown_where_one_fails(
    project: Any, kedro: Kedro
) -> None:
    kedro.statuses = [1, 1]
    with pytest.raises(UnfinishedRunError, match="what went wrong"):
        Grid(project.path, SEEDS[:2]).finish(jobs=2)


def test_a_mistake_in_any_run_ends_it_before_the_first(
    project: Any, kedro: Kedro
) -> None:
    specs = [RunSpec("cifar100_10-10", {"scenario.class_order": n}) for n in ("1", "4")]
    with pytest.raises(InputError, match="class_order = 4 is not a published order"):
        Grid(project.path, specs)
    with pytest.raises(InputError, match=r"^sed is not a parameter"):
        Grid(project.path, [RunSpec("test", {"sed": "1"})]).finish()
    assert kedro.commands == []
