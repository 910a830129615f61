"""Files are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daformer_kedro.storage.atomic_files import (
    remove_leftovers,
    replace_atomically,
    temporary_sibling,
    write_text,
)


def test_an_error_while_writing_leaves_the_former_file(tmp_path: Path) -> None:
    target = tmp_path / "results" / "a.txt"
    write_text(target, "before")

    def fail() -> None:
        with temporary_sibling(target) as written:
            written.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "before"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_the_former_folder(tmp_path: Path) -> None:
    target = tmp_path / "images"
    for content in ("one", "two"):
        with temporary_sibling(target) as written:
            written.mkdir()
            (written / f"{content}.txt").write_text(content)
            replace_atomically(written, target)
    assert [p.name for p in target.iterdir()] == ["two.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_the_temporary_file_keeps_the_name_and_lies_on_the_same_disk(
    tmp_path: Path,
) -> None:
    with temporary_sibling(tmp_path / "figure.png") as written:
        assert written.name == "figure.png"
        assert written.parent.parent == tmp_path


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(
    tmp_path: Path,
) -> None:
    code = "import os; print(os.getpid())"
    dead = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    old = tmp_path / f".a.txt.{dead}.0123abcd.part"
    own = tmp_path / f".a.txt.{os.getpid()}.0123abcd.part"
    for folder in (old, own):
        folder.mkdir()
        (folder / "a.txt").write_text("half")
    remove_leftovers(tmp_path, is_ours=False)
    assert not old.exists()
    assert own.exists()
    remove_leftovers(tmp_path, is_ours=True)
    assert not own.exists()
