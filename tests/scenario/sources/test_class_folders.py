from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_folders import (
    has_class_folders,
    read_class_folders,
)

NAMES = ("cat", "dog", "eel")
Encode = Callable[..., bytes]


def _write(path: Path, value: int, png: Encode, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(np.full((size, size, 3), value, np.uint8)))


@pytest.fixture
def folder(tmp_path: Path, png: Encode) -> Path:
    for name, value in (
        ("train/eel/a.png", 1),
        ("train/cat/b.png", 2),
        ("train/cat/a.PNG", 3),
        ("test/cat/x.png", 4),
        ("test/eel/x.png", 5),
    ):
        _write(tmp_path / name, value, png)
    return tmp_path


def test_rows_go_by_label_then_by_name(folder: Path) -> None:
    train, test = read_class_folders(folder, NAMES, 8)
    assert train.labels.tolist() == [0, 0, 2]
    assert train.images[:, 0, 0, 0].tolist() == [3, 2, 1]
    assert test.labels.tolist() == [0, 2]
    assert test.images[:, 0, 0, 0].tolist() == [4, 5]
    assert train.images.shape == (3, 8, 8, 3)
    assert train.labels.dtype == np.int64


def test_hidden_entries_and_other_files_are_passed_over(folder: Path) -> None:
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "README.txt").touch()
    (folder / "train" / "cat" / "Thumbs.db").touch()
    (folder / "train" / "cat" / "._a.png").touch()
    train, _ = read_class_folders(folder, NAMES, 8)
    assert train.labels.tolist() == [0, 0, 2]


def test_splits_may_be_spelt_otherwise(folder: Path, png: Encode) -> None:
    (folder / "train").rename(folder / "Training_Set")
    (folder / "test").rename(folder / "VALID")
    assert has_class_folders(folder)
    train, test = read_class_folders(folder, NAMES, 8)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 0, 2], [0, 2])


def test_recognition(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert has_class_folders(folder)
    empty = tmp_path_factory.mktemp("empty")
    assert not has_class_folders(empty)
    (empty / "train").touch()
    assert not has_class_folders(empty)


def test_missing_split(folder: Path) -> None:
    (folder / "test").rename(folder / "old")
    with pytest.raises(InputError, match="has a folder train and no folder test"):
        read_class_folders(folder, NAMES, 8)


def test_split_without_classes(folder: Path) -> None:
    (folder / "test").rename(folder / "old")
    (folder / "test").mkdir()
    with pytest.raises(InputError, match="test: has no class folder"):
        read_class_folders(folder, NAMES, 8)


def test_unknown_class(folder: Path) -> None:
    (folder / "train" / "cats").mkdir()
    with pytest.raises(
        InputError, match=r"train/cats: is not the name of a class\. Did you mean cat\?"
    ):
        read_class_folders(folder, NAMES, 8)


def test_class_without_images(folder: Path) -> None:
    (folder / "train" / "dog").mkdir()
    with pytest.raises(InputError, match="train/dog: has no image"):
        read_class_folders(folder, NAMES, 8)


def test_faulty_images_are_named(folder: Path, png: Encode) -> None:
    file = folder / "test" / "eel" / "x.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"test/eel/x.png: cannot be read as an"):
        read_class_folders(folder, NAMES, 8)
    _write(file, 0, png, size=9)
    with pytest.raises(InputError, match=r"test/eel/x.png: .* is 9 × 9 pixels"):
        read_class_folders(folder, NAMES, 8)
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match=r"test/eel: has no image"):
        read_class_folders(folder, NAMES, 8)
