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


@pytest.mark.parametrize("cut", [0, 3, 10, 15])
def test_a_cut_header_is_named(tmp_path: Path, cut: int) -> None:
    write(tmp_path, packed=False)
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InputError, match="train-images-idx3-ubyte: is damaged"):
        read_source(config(tmp_path))


def test_damage_in_a_packed_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    content = bytearray(file.read_bytes())
    for damaged in (
        content[:12] + b"\xff" * 8 + content[20:],
        content[:-9],
        content[: len(content) // 2],
        b"no gzip",
    ):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"ubyte\.gz: cannot be read"):
            read_source(config(tmp_path))


def test_labels_out_of_range_are_named(tmp_path: Path) -> None:
    write(tmp_path, packed=False)
    labels = np.full(10, 10, np.uint8)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte holds the label 10"):
        read_source(config(tmp_path))


def test_a_failed_download_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", fail)
    wanted = SourceConfig(name="fashion_mnist", path=str(tmp_path), download=True)
    with pytest.raises(InputError, match=r"Fashion-MNIST to .* failed: no network"):
        read_source(wanted)
    write(tmp_path, packed=True)
    read_source(wanted)  # is there, so nothing is fetched
