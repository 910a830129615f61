"""Fashion-MNIST from IDX files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources import read_source


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim))
    return head + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(folder: Path, packed: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = np.arange(count, dtype=np.uint8)[:, None, None].repeat(28, 1)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, array in (
            ("images-idx3", images.repeat(28, 2)),
            ("labels-idx1", labels),
        ):
            path = folder / f"{prefix}-{name}-ubyte"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx(array)))
            else:
                path.write_bytes(idx(array))


def config(path: Path) -> SourceConfig:
    return SourceConfig(name="fashion_mnist", path=str(path))


@pytest.mark.parametrize(("below", "packed"), [("", True), ("FashionMNIST/raw", False)])
def test_both_layouts_are_read(tmp_path: Path, below: str, packed: bool) -> None:
    write(tmp_path / below, packed)
    images = read_source(config(tmp_path))
    assert isinstance(images, ImageArrays)
    assert images.train_images.shape == (20, 28, 28, 1)
    assert images.train_images[13, 0, 0, 0] == 13
    assert images.train_labels[13] == 3
    assert images.class_names[9] == "Ankle boot"


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no train-images-idx3-ubyte"):
        read_source(config(tmp_path))
    write(tmp_path, packed=False)
    file = tmp_path / "t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte: is damaged"):
        read_source(config(tmp_path))
