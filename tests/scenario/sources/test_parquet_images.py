from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.parquet_images import (
    ParquetLayout,
    find_parquet_files,
    read_parquet,
)

LAYOUT = ParquetLayout(("img", "image"), "label", num_classes=10, image_size=32)
Write = Callable[..., None]
Encode = Callable[..., bytes]


def _read(folder: Path) -> None:
    read_parquet(find_parquet_files([folder]), LAYOUT)


def _train_file(folder: Path) -> Path:
    return folder / "train-00001-of-00002.parquet"


def test_files_are_found_in_the_first_folder_that_has_any(tmp_path: Path) -> None:
    for name in (
        "b/2.parquet",
        "b/1.parquet",
        "b/._1.parquet",
        "b/x.txt",
        "c/3.parquet",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folders = [tmp_path / name for name in ("missing", "b", "c")]
    found = find_parquet_files(folders)
    assert found == [tmp_path / "b" / "1.parquet", tmp_path / "b" / "2.parquet"]
    assert find_parquet_files([tmp_path]) == []


def test_rows_stand_as_in_the_files(
    cifar10_parquet: Path, ten_classes: dict[str, np.ndarray]
) -> None:
    train, test = read_parquet(find_parquet_files([cifar10_parquet]), LAYOUT)
    np.testing.assert_array_equal(train.images, ten_classes["train_images"])
    np.testing.assert_array_equal(train.labels, ten_classes["train_labels"])
    np.testing.assert_array_equal(test.images, ten_classes["test_images"])
    np.testing.assert_array_equal(test.labels, ten_classes["test_labels"])
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64


def test_column_image_is_accepted(
    tmp_path: Path, write_parquet: Write, png: Encode
) -> None:
    encoded = [png(np.full((32, 32, 3), 7, np.uint8))]
    for name in ("train.parquet", "test.parquet"):
        write_parquet(tmp_path / name, encoded, [4], image_column="image")
    train, _ = read_parquet(find_parquet_files([tmp_path]), LAYOUT)
    np.testing.assert_array_equal(train.images, np.full((1, 32, 32, 3), 7))


@pytest.mark.parametrize(("split", "other"), [("test", "train"), ("train", "test")])
def test_missing_split(cifar10_parquet: Path, split: str, other: str) -> None:
    for file in cifar10_parquet.glob(f"{split}*"):
        file.unlink()
    with pytest.raises(
        InputError, match=f"parquet: no {split} file; .*Found: {other}-"
    ):
        _read(cifar10_parquet)


def test_name_with_both_splits(cifar10_parquet: Path) -> None:
    (cifar10_parquet / "train_and_test.parquet").touch()
    with pytest.raises(InputError, match=r"train_and_test.parquet names both"):
        _read(cifar10_parquet)


def test_missing_shard(cifar10_parquet: Path) -> None:
    (cifar10_parquet / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="of 2 files train-…, number 0 is missing"):
        _read(cifar10_parquet)


def test_truncated_file(cifar10_parquet: Path) -> None:
    file = _train_file(cifar10_parquet)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{file.name}: not a readable parquet file"):
        _read(cifar10_parquet)


def test_file_of_zero_bytes(cifar10_parquet: Path) -> None:
    _train_file(cifar10_parquet).write_bytes(b"")
    with pytest.raises(InputError, match="not a readable parquet file"):
        _read(cifar10_parquet)


def test_damaged_pages(cifar10_parquet: Path) -> None:
    file = _train_file(cifar10_parquet)
    content = bytearray(file.read_bytes())
    content[4:2000] = bytes(1996)
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"{file.name}: not a readable parquet file"):
        _read(cifar10_parquet)


def test_file_without_rows(cifar10_parquet: Path, write_parquet: Write) -> None:
    write_parquet(_train_file(cifar10_parquet), [], [])
    with pytest.raises(InputError, match=r"00001-of-00002.parquet: has no rows"):
        _read(cifar10_parquet)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"image_column": "picture"},
            "no column img or image; columns found: picture, label",
        ),
        (
            {"label_column": "fine_label"},
            "no column label; columns found: img, fine_label",
        ),
    ],
)
def test_missing_column(
    cifar10_parquet: Path, write_parquet: Write, columns: dict, message: str
) -> None:
    write_parquet(_train_file(cifar10_parquet), [b""], [0], **columns)
    with pytest.raises(InputError, match=f"00001-of-00002.parquet: {message}"):
        _read(cifar10_parquet)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"img": [b"x"], "label": [0]}, "column img is binary; it must be a struct"),
        ({"img": [{"path": "a"}], "label": [0]}, "column img is struct<path: string>"),
        (
            {"img": [{"bytes": "a"}], "label": [0]},
            "column img is struct<bytes: string>",
        ),
        (
            {"img": [{"bytes": b"a"}], "label": ["cat"]},
            "column label is string; it must hold integers",
        ),
    ],
)
def test_column_of_another_type(
    cifar10_parquet: Path, columns: dict, message: str
) -> None:
    pq.write_table(pa.table(columns), _train_file(cifar10_parquet))
    with pytest.raises(InputError, match=message):
        _read(cifar10_parquet)


@pytest.mark.parametrize(("label", "value"), [(10, "10"), (-1, "-1"), (None, "None")])
def test_label_out_of_range(
    cifar10_parquet: Path,
    write_parquet: Write,
    png: Encode,
    label: int | None,
    value: str,
) -> None:
    good = png(np.zeros((32, 32, 3), np.uint8))
    write_parquet(_train_file(cifar10_parquet), [good, good], [0, label])
    with pytest.raises(
        InputError,
        match=rf"00001-of-00002.parquet: row 1 \(from 0\): label is {value}; it must",
    ):
        _read(cifar10_parquet)


def test_faulty_images_are_named_by_row(
    cifar10_parquet: Path, write_parquet: Write, png: Encode
) -> None:
    good = png(np.zeros((32, 32, 3), np.uint8))
    for bad, message in (
        (good[:-30], "cannot be read as an image"),
        (None, "has no image"),
        (
            png(np.zeros((28, 28, 3), np.uint8)),
            ".* is 28 × 28 pixels; it must be",
        ),
    ):
        write_parquet(_train_file(cifar10_parquet), [good, good, bad], [0, 1, 2])
        with pytest.raises(
            InputError, match=rf"00001-of-00002.parquet: row 2 \(from 0\): {message}"
        ):
            _read(cifar10_parquet)
