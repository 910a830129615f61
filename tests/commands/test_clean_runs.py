"""Old results go, and it is said how much that frees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daformer_kedro.commands.clean_runs import bytes_freed, main, stored_runs
from daformer_kedro.storage.lock import Lock


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Runs old, middle and new; the last two share a file of 1,000 bytes."""
    data = tmp_path / "data"
    for age, name in enumerate(["new", "middle", "old"]):
        for layer in ("06_models", "08_reporting"):
            file = data / layer / name / "task_00" / "result"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"x" * 500)
            os.utime(file, (10**9 - age, 10**9 - age))
    shared = data / "06_models" / "new" / "shared"
    shared.write_bytes(b"y" * 1000)
    os.link(shared, data / "06_models" / "middle" / "shared")
    os.utime(shared, (10**9 - 1, 10**9 - 1))
    (data / "02_intermediate" / "digits").mkdir(parents=True)
    (data / "06_models" / ".gitkeep").touch()
    (data / "01_raw" / "cifar100").mkdir(parents=True)
    return data


def test_runs_are_listed_over_all_layers_newest_first(data: Path) -> None:
    runs = stored_runs(data)
    assert [run.name for run in runs] == ["new", "middle", "old"]
    assert [len(run.folders) for run in runs] == [2, 2, 2]


def test_a_shared_file_is_freed_with_its_last_link(data: Path) -> None:
    new, middle, old = stored_runs(data)
    assert bytes_freed([old]) == 1000
    assert bytes_freed([middle]) == 1000
    assert bytes_freed([new, middle]) == 3000


def test_all_but_the_newest_go(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data), "--keep", "1"]) == 0
    assert [run.name for run in stored_runs(data)] == ["new"]
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "Removed 2 of 3, which freed 2 kB."
    assert (data / "02_intermediate" / "digits").is_dir()
    assert (data / "01_raw" / "cifar100").is_dir()


def test_a_run_that_is_being_written_stays(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Lock(data / "journal" / "old.lock", "x")
    lock.acquire()
    try:
        main(["--data", str(data), "--keep", "0"])
    finally:
        lock.release()
    assert [run.name for run in stored_runs(data)] == ["old"]
    assert "The folder old is being written" in capsys.readouterr().out


def test_it_removes_nothing_unasked(data: Path) -> None:
    with pytest.raises(SystemExit, match="--keep"):
        main(["--data", str(data)])
    assert len(stored_runs(data)) == 3
