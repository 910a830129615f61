"""Arrays and indices in folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError

from daformer_kedro.datasets import ImagesDataset
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import ImageArrays


def test_arrays_come_back_as_maps(tmp_path: Path) -> None:
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    labels = np.array([0, 1])
    dataset = ImagesDataset(filepath=str(tmp_path / "images"))
    assert not dataset.exists()
    dataset.save(ImageArrays(pixels, labels, pixels, labels, ("a", "b")))
    loaded = dataset.load()
    assert isinstance(loaded, ImageArrays)
    assert isinstance(loaded.train_images, np.memmap)
    assert (loaded.view("train", [1]) == pixels[1:]).all()


def index(root: Path, **changes: Any) -> ImageFiles:
    arguments: dict[str, Any] = {
        "root": root,
        "train_paths": np.array(["a/1.png", "b/ü.png"]),
        "train_labels": np.array([0, 1]),
        "train_bytes": np.array([10, 11]),
        "test_paths": np.array(["a/2.png", "b/2.png"]),
        "test_labels": np.array([0, 1]),
        "test_bytes": np.array([12, 13]),
        "class_names": ("a", "b"),
        "image_size": 8,
        "resize": 9,
        "task_sizes": (1, 1),
    }
    return ImageFiles(**arguments | changes)


def test_an_index_comes_back_whole(tmp_path: Path) -> None:
    files = index(tmp_path)
    dataset = ImagesDataset(filepath=str(tmp_path / "images"))
    dataset.save(files)
    assert dataset.exists()
    loaded = dataset.load()
    for split in ("train", "test"):
        for name in (f"{split}_{column}" for column in ("paths", "labels", "bytes")):
            assert getattr(loaded, name).tolist() == getattr(files, name).tolist()
    assert loaded.cache_size is None
    for name in (
        "root",
        "class_names",
        "image_size",
        "resize",
        "task_sizes",
    ):
        assert getattr(loaded, name) == getattr(files, name)
    (tmp_path / "images" / "test.parquet").unlink()
    with pytest.raises(DatasetError, match="is incomplete"):
        dataset.load()


def test_copies_are_found_wherever_the_project_lies(tmp_path: Path) -> None:
    source = tmp_path / "project" / "source"
    (source / "resized").mkdir(parents=True)
    for place in ("images", "task_00/images"):
        dataset = ImagesDataset(filepath=str(source / place))
        dataset.save(index(source / "resized", cache_size=16))
        assert dataset.load().root == source / "resized"
    moved = (tmp_path / "project").rename(tmp_path / "moved") / "source"
    dataset = ImagesDataset(filepath=str(moved / "task_00" / "images"))
    assert dataset.load().root == moved / "resized"
    assert dataset.load().cache_size == 16
    (moved / "resized").rmdir()
    with pytest.raises(DatasetError, match="run --nodes read_images makes them again"):
        dataset.load()
