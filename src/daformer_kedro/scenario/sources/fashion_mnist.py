"""Fashion-MNIST (Xiao et al., 2017): 28 × 28 grey images of ten kinds of clothes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages, SourceFacts

_CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_SIDE = 28
_PREFIXES = {"train": "train", "test": "t10k"}
_DEBIAN = Path("/usr/share/dataset-fashion-mnist")
_UINT8 = 0x08  # type of the values, the third byte of an IDX file


class FashionMNIST:
    """IDX files, packed or not, in ``source.path`` or as torchvision lays them.

    Without a path they are looked for where Debian's package
    ``dataset-fashion-mnist`` puts them.
    """

    def facts(self, config: SourceConfig) -> SourceFacts:
        """Return ten classes of 28 × 28 grey images."""
        return SourceFacts(_CLASS_NAMES, image_size=_SIDE, num_channels=1)

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Read the four files.

        Raises:
            InputError: one is missing or damaged.
        """
        folder = _find(config)
        train, test = (_read_split(folder, name) for name in ("train", "test"))
        return train, test


def _find(config: SourceConfig) -> Path:
    root = _DEBIAN if config.path is None else Path(config.path).expanduser()
    if config.download and config.path is not None:
        from torchvision.datasets import FashionMNIST as Download

        Download(root, train=True, download=True)
    for folder in (root, root / "FashionMNIST" / "raw", root / "raw"):
        if any(folder.glob("train-images-idx3-ubyte*")):
            return folder
    raise InputError(
        f"source.path = {config.path}: no train-images-idx3-ubyte(.gz) in {root}, as "
        "Debian's package dataset-fashion-mnist or torchvision put it there"
    )


def _read_split(folder: Path, split: str) -> LabelledImages:
    prefix = _PREFIXES[split]
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte", num_axes=3)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte", num_axes=1)
    if len(images) != len(labels) or images.shape[1:] != (_SIDE, _SIDE):
        raise InputError(
            f"{folder}: {split} has images of shape {images.shape} and {len(labels)} "
            f"labels; {_SIDE} × {_SIDE} images and a label for each are needed"
        )
    return LabelledImages(images[..., np.newaxis], labels.astype(np.int64))


def _read_idx(path: Path, num_axes: int) -> NDArray[np.uint8]:
    """An array of bytes: four bytes of type and axes, the sizes, the values."""
    packed = path.with_name(path.name + ".gz")
    try:
        content = path.read_bytes() if path.exists() else _unpacked(packed)
    except (OSError, EOFError) as error:
        raise InputError(f"{packed}: cannot be read: {error}") from error
    start = 4 + 4 * num_axes
    sizes = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    whole = len(content) == start + int(np.prod(sizes, dtype=np.int64))
    if content[:4] != bytes((0, 0, _UINT8, num_axes)) or not whole:
        raise InputError(f"{path}: is damaged, or no IDX file with {num_axes} axes")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()


FASHION_MNIST = FashionMNIST()
