"""Fashion-MNIST (Xiao et al., 2017): 28 × 28 grey images of ten kinds of clothes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages, SourceMetadata

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

    licence = "Fashion-MNIST (Zalando SE), MIT licence."

    def metadata(self, config: SourceConfig) -> SourceMetadata:
        """Return ten classes of 28 × 28 grey images."""
        return SourceMetadata(_CLASS_NAMES, image_size=_SIDE, num_channels=1)

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Read the four files, of validation runs those of the training set.

        Raises:
            InputError: one is missing or damaged.
        """
        folder = _find(config)
        train = _read_split(folder, "train")
        return train, train if config.on_validation else _read_split(folder, "test")


def _find(config: SourceConfig) -> Path:
    root = _DEBIAN if config.path is None else Path(config.path).expanduser()
    folder = _folder_in(root)
    if folder is None and config.download:
        _download(config, root)
        folder = _folder_in(root)
    if folder is None:
        raise InputError(
            f"source.path = {config.path}: no train-images-idx3-ubyte(.gz) in {root}, "
            "as Debian's package dataset-fashion-mnist or torchvision put it there"
        )
    return folder


def _folder_in(root: Path) -> Path | None:
    for folder in (root, root / "FashionMNIST" / "raw", root / "raw"):
        if any(folder.glob("train-images-idx3-ubyte*")):
            return folder
    return None


def _download(config: SourceConfig, root: Path) -> None:
    if config.path is None:
        raise InputError("source.download = true: source.path must say where to")
    from torchvision.datasets import FashionMNIST as Download

    try:
        Download(root, train=True, download=True)
    except Exception as error:  # network, disk and archive errors of all kinds
        raise InputError(
            f"source.download = true: Fashion-MNIST to {root} failed: {error}"
        ) from error


def _read_split(folder: Path, split: str) -> LabelledImages:
    prefix = _PREFIXES[split]
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte", num_axes=3)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte", num_axes=1)
    if len(images) != len(labels) or images.shape[1:] != (_SIDE, _SIDE):
        raise InputError(
            f"{folder}: {split} has images of shape {images.shape} and {len(labels)} "
            f"labels; {_SIDE} × {_SIDE} images and a label for each are needed"
        )
    if labels.max(initial=0) >= len(_CLASS_NAMES):
        raise InputError(
            f"{folder}: {prefix}-labels-idx1-ubyte holds the label {labels.max()}; "
            f"labels are 0..{len(_CLASS_NAMES) - 1}"
        )
    return LabelledImages(images[..., np.newaxis], labels.astype(np.int64))


def _read_idx(path: Path, num_axes: int) -> NDArray[np.uint8]:
    """Read an array of bytes: four bytes of type and axes, the sizes, the values."""
    packed = path.with_name(path.name + ".gz")
    try:
        content = path.read_bytes() if path.is_file() else _unpacked(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{packed}: cannot be read: {error}") from error
    start = 4 + 4 * num_axes
    is_idx = content[:4] == bytes((0, 0, _UINT8, num_axes)) and len(content) >= start
    sizes = np.frombuffer(content[4:start], ">u4").tolist() if is_idx else []
    if not is_idx or len(content) != start + math.prod(sizes):
        raise InputError(f"{path}: is damaged, or not an IDX file with {num_axes} axes")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()


FASHION_MNIST = FashionMNIST()
