"""Tests of data sets that are read through continuum."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from continuum import datasets

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources import read_source
from daformer_kedro.scenario.sources.continuum_data import DATASETS


def _config(dataset: str, path: Path) -> SourceConfig:
    return SourceConfig(name="continuum", dataset=dataset, path=str(path))


def _write_idx(file: Path, array: np.ndarray) -> None:
    """IDX as its authors describe it: two zeros, type 8 (bytes), the shape."""
    head = bytes([0, 0, 8, array.ndim])
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    file.write_bytes(head + shape + array.tobytes())


# continuum makes arrays of tensors, as NumPy does not like it any more.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_images_are_those_of_the_files(tmp_path: Path) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    for split in ("train", "t10k"):
        _write_idx(raw / f"{split}-images-idx3-ubyte", images)
        _write_idx(raw / f"{split}-labels-idx1-ubyte", np.array([2, 0, 1], np.uint8))
    read = read_source(_config("KMNIST", tmp_path))
    assert isinstance(read, ImageArrays)
    for split in ("train", "test"):
        np.testing.assert_array_equal(
            getattr(read, f"{split}_images"), images[..., np.newaxis]
        )
        np.testing.assert_array_equal(getattr(read, f"{split}_labels"), [2, 0, 1])


def test_pickle_is_not_executed(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "made_by_pickle"),)

    folder = tmp_path / "MetaShift"
    folder.mkdir()
    (folder / "full-candidate-subsets.pkl").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(InputError, match="'MetaShift': allowed: FashionMNIST, KMNIST"):
        read_source(_config("MetaShift", tmp_path))
    assert not (tmp_path / "made_by_pickle").exists()


def test_everything_else_is_refused_unopened(tmp_path: Path) -> None:
    others = sorted({*dir(datasets), "CIFAR", "os", ""} - {*DATASETS})
    assert {"CIFAR10", "MetaShift", "H5Dataset"} <= {*others}
    for dataset in others:
        with pytest.raises(InputError, match=r"source.dataset = .*would execute"):
            read_source(_config(dataset, tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source.path = .*none: is not a folder"):
        read_source(_config("MNIST", tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_what_is_allowed_is_there() -> None:
    assert all(isinstance(getattr(datasets, name), type) for name in DATASETS)
