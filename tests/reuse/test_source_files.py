"""The fingerprint of a folder that is read from."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from daformer_kedro.reuse.source_files import describe_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train/a/1.png", "train/b/1.png", "notes.txt"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, ns=(10**18, 10**18))
    return tmp_path / "images"


def test_names_sizes_and_times_count_and_where_the_folder_lies_does_not(
    folder: Path,
) -> None:
    before = describe_files(folder)
    moved = folder.rename(folder.with_name("moved"))
    assert describe_files(moved) == before
    file = moved / "train" / "a" / "1.png"
    file.write_bytes(b"train/a/X.png")
    os.utime(file, ns=(10**18, 10**18))
    assert describe_files(moved) == before  # contents are not read
    seen = {before}
    os.utime(file, ns=(10**18, 10**18 + 1))
    seen.add(describe_files(moved))
    file.write_bytes(b"longer than before")
    os.utime(file, ns=(10**18, 10**18))
    seen.add(describe_files(moved))
    file.rename(file.with_name("2.png"))
    seen.add(describe_files(moved))
    assert len(seen) == 4
    assert None not in seen


def test_a_file_a_missing_folder_and_an_empty_one(folder: Path) -> None:
    assert describe_files(folder / "missing") is None
    assert describe_files(folder / "notes.txt") not in (None, describe_files(folder))
    (folder / "empty").mkdir()
    assert describe_files(folder / "empty") is not None


def test_linked_folders_count_and_circles_end(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (folder / "train" / "c").symlink_to(tmp_path / "more")
    (folder / "train" / "circle").symlink_to(folder)
    (folder / "train" / "nowhere").symlink_to(tmp_path / "missing")
    before = describe_files(folder)
    (tmp_path / "more" / "1.png").write_bytes(b"1")
    assert describe_files(folder) != before


def test_names_need_not_be_utf8(folder: Path) -> None:
    before = describe_files(folder)
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xf6.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert describe_files(folder) != before


def test_memory_holds_one_folder_at_a_time(folder: Path) -> None:
    for number in range(40):
        (folder / f"class_{number}").mkdir()
        for name in range(100):
            (folder / f"class_{number}" / f"{name}.png").touch()
    tracemalloc.start()
    describe_files(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000  # a list of the 4,000 paths alone is several times that
