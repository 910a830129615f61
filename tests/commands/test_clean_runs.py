"""Old results go, and it is said how much that frees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daformer_kedro.commands.clean_runs import bytes_freed, main, stored_runs
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.record import Record, write_record
from daformer_kedro.storage.scratch import open_scratch


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


def test_what_lies_on_another_disk_goes_with_the_run(
    data: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "disk" / "project"
    open_scratch(scratch, data / "journal")
    for name in ("new", "old"):
        (scratch / "06_models" / name).mkdir(parents=True)
        (scratch / "06_models" / name / "training.state").touch()
    for sha256 in ("a" * 64, "b" * 64):
        (scratch / "copies" / sha256[:16] / "images").mkdir(parents=True)
    write_record(data / "02_intermediate" / "digits" / "images", Record("a" * 64, 0))
    assert main(["--data", str(data), "--keep", "1"]) == 0
    assert [f.parent.name for f in scratch.rglob("*.state")] == ["new"]
    assert [folder.name for folder in (scratch / "copies").iterdir()] == ["a" * 16]
