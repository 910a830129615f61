from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.cifar_pickles import (
    PickleLayout,
    find_pickle_folder,
    read_pickles,
)

LAYOUT = PickleLayout("cifar", ("train",), "test", "labels")
Write = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, write_pickle: Write) -> Path:
    for name in ("train", "test"):
        write_pickle(tmp_path / "cifar" / name, _content())
    return tmp_path / "cifar"


def _content(**changes: Any) -> dict[str, Any]:
    return {"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1, 1]} | changes


def test_folder_is_found_by_itself_or_its_parent(folder: Path) -> None:
    assert find_pickle_folder(folder, LAYOUT) == folder
    assert find_pickle_folder(folder.parent, LAYOUT) == folder
    assert find_pickle_folder(folder.parent.parent, LAYOUT) is None


def test_class_folders_are_no_pickles(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert find_pickle_folder(tmp_path, LAYOUT) is None


def test_pixels_are_rows_of_red_then_green_then_blue(
    folder: Path, write_pickle: Write
) -> None:
    data = np.zeros((1, 3072), np.uint8)
    data[0, 0] = 1  # red, row 0, column 0
    data[0, 1024 + 33] = 2  # green, row 1, column 1
    data[0, 2048 + 31] = 3  # blue, row 0, column 31
    write_pickle(folder / "train", _content(data=data, labels=[1]))
    train, _ = read_pickles(folder, LAYOUT, num_classes=2)
    assert train.images.shape == (1, 32, 32, 3)
    assert train.images[0, 0, 0].tolist() == [1, 0, 0]
    assert train.images[0, 1, 1].tolist() == [0, 2, 0]
    assert train.images[0, 0, 31].tolist() == [0, 0, 3]
    assert train.images.sum() == 6
    assert train.labels.dtype == np.int64


def test_missing_files_are_listed(folder: Path) -> None:
    (folder / "test").unlink()
    with pytest.raises(
        InputError, match="cifar: missing test; the folder must hold tr"
    ):
        read_pickles(folder, LAYOUT, num_classes=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "train: holds a list; it must be a dict with data and labels"),
        ({"data": 1}, "train: no key labels; keys found: data"),
        ({b"fine_labels": 1}, "train: no key data or labels; keys found: fine_labels"),
        (_content(data=[1]), "train: data is list; it must be a uint8 array"),
        (_content(data=np.zeros((3, 3072))), "data is float64; it must be a uint8 arr"),
        (
            _content(data=np.zeros((3, 3000), np.uint8)),
            r"data has shape \(3, 3000\); it must be \(N, 3072\)",
        ),
        (_content(data=np.zeros((0, 3072), np.uint8)), r"data has shape \(0, 3072\)"),
        (_content(labels=[0, 1]), "labels must be 3 integers, one per image; found"),
        (_content(labels=[0, 1, 0.5]), "labels must be 3 integers.* found float64"),
        (_content(labels=[[0], [1, 2], 3]), "train: labels is not a list of integers"),
        (_content(labels=[0, 1, 2]), "train: row 2: label 2 is out of range 0..1"),
        (_content(labels=[0, -1, 1]), "train: row 1: label -1 is out of range 0..1"),
    ],
)
def test_faulty_content(
    folder: Path, write_pickle: Write, content: Any, message: str
) -> None:
    write_pickle(folder / "train", content)
    with pytest.raises(InputError, match=message):
        read_pickles(folder, LAYOUT, num_classes=2)


def test_truncated_file_is_named(folder: Path) -> None:
    whole = (folder / "test").read_bytes()
    (folder / "test").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cifar/test: not a usable pickle"):
        read_pickles(folder, LAYOUT, num_classes=2)
