"""Tables of paths as spreadsheets and scripts write them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.serving.image_paths import find_images


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("label;image\n1;a.png\n2;b.png\n", ["a.png", "b.png"]),
        ("sep=;\nimage;label\na.png;1\n", ["a.png"]),
        ("label\timage\n1\ta.png\n", ["a.png"]),
        ("1,a.png\n2,b.png\n", ["a.png", "b.png"]),
        ("1;a.png\n2;b.png\n", ["a.png", "b.png"]),
        ("0,5;a.png\n0,7;b.png\n", ["a.png", "b.png"]),  # a decimal comma
        ("cat\t3\tsub/a.HEIC\n", ["sub/a.HEIC"]),
        ("a.png;1\nb.png;2\n", ["a.png", "b.png"]),
        ('"a; b.png";1\n', ["a; b.png"]),
        ("a;b.png,3\n", ["a;b.png"]),
        ("a.png\nb.png\n", ["a.png", "b.png"]),
        ("no suffix\nb\n", ["no suffix", "b"]),
    ],
)
def test_the_column_of_paths_is_found(
    tmp_path: Path, content: str, names: list[str]
) -> None:
    table = tmp_path / "list.csv"
    table.write_text(content, encoding="utf-8")
    assert find_images(table) == [tmp_path / name for name in names]


def test_a_file_that_is_there_tells_what_is_meant(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("1;a.png\n", encoding="utf-8")
    (tmp_path / "1;a.png").touch()
    assert find_images(table) == [tmp_path / "1;a.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1;2\n3;4\n", "its first row names no image: 1, 2"),
        (b"label;filepath\n1;a.png\n", "names no image: label, filepath"),
        (b"1,a.png,mask.png\n", "names images in several columns: 1, a.png, mask.png"),
        ("ä.png;1\n".encode("latin-1"), "it is not UTF-8; save it as such"),
        ("image\na.png\n".encode("utf-16"), "it is not UTF-8; save it as such"),
    ],
)
def test_what_is_not_clear_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes(content)
    with pytest.raises(InputError, match=rf"list\.csv: .*{message}"):
        find_images(table)


def test_a_table_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="is not a regular file"):
        find_images(tmp_path / "pipe.csv")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_however_it_is_composed(tmp_path: Path, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    there = tmp_path / unicodedata.normalize(form, "café.png")
    there.touch()
    listed = unicodedata.normalize(other, "café.png")
    (tmp_path / "list.txt").write_text(listed, encoding="utf-8")
    assert find_images(tmp_path / "list.txt") == [there]


def test_a_folder_s_other_files_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.jfif", "b.HEIC", "c.nef", "sub/d.webp", "e.txt", "f.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.name for path in find_images(tmp_path)]
    assert found == ["a.jfif", "b.HEIC", "c.nef", "d.webp"]
    assert "passed over, not named like images: 1 .mp4, 1 .txt" in caplog.text
