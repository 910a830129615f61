"""Fashion-MNIST (Xiao et al. 2017): 28 × 28 grey images of clothes, in idx files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages, SourceFacts

_SIZE = 28
_DEBIAN = Path("/usr/share/dataset-fashion-mnist")
_CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


class FashionMnist:
    """Ten classes with a test set of their own."""

    def facts(self, config: SourceConfig) -> SourceFacts:
        """Return ten classes of 28 × 28 grey images."""
        return SourceFacts(_CLASS_NAMES, image_size=_SIZE, num_channels=1)

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Read training and test set from ``config.path`` or Debian's package.

        Raises:
            InputError: there is no data, it is damaged, or the download failed.
        """
        path = _DEBIAN if config.path is None else Path(config.path).expanduser()
        path = path.absolute()
        folder = _find_folder(path)
        if folder is None and config.download:
            _download(path, config)
            folder = _find_folder(path)
        if folder is None:
            raise InputError(_no_data(f"source.path: {path} holds no idx files"))
        return _read_split(folder, "train"), _read_split(folder, "t10k")


def _find_folder(path: Path) -> Path | None:
    for folder in (path, path / "FashionMNIST" / "raw", path / "raw"):
        if any(folder.glob("t*-ubyte*")):
            return folder
    return None


def _download(path: Path, config: SourceConfig) -> None:
    if config.path is None:
        raise InputError("source.download: source.path is not set; say where to")
    import torchvision

    try:
        torchvision.datasets.FashionMNIST(root=str(path), download=True)
    except Exception as error:  # network, disk and archive errors of all kinds
        raise InputError(
            _no_data(f"source.download: Fashion-MNIST to {path} failed: {error}")
        ) from error


def _no_data(reason: str) -> str:
    return f"""Fashion-MNIST could not be read. {reason}
There must be train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte \
and t10k-labels-idx1-ubyte, each also as .gz, in source.path or in FashionMNIST/raw/ there.
Ways to get them:
  - on Debian and Ubuntu: apt install dataset-fashion-mnist, and leave out source.path
  - set source.path to where they shall lie, and source.download to true"""


def _read_split(folder: Path, split: str) -> LabelledImages:
    file, images = _read_idx(folder, f"{split}-images-idx3-ubyte", num_axes=3)
    if images.shape[1:] != (_SIZE, _SIZE):
        raise InputError(
            f"{file}: images are {images.shape[1:]}; they must be {_SIZE} × {_SIZE}"
        )
    file, labels = _read_idx(folder, f"{split}-labels-idx1-ubyte", num_axes=1)
    if len(labels) != len(images) or labels.max(initial=0) >= len(_CLASS_NAMES):
        raise InputError(
            f"{file}: must hold a label from 0 to 9 for each of {len(images)} images; "
            f"it holds {len(labels)} up to {labels.max(initial=0)}"
        )
    return LabelledImages(images[..., np.newaxis], labels.astype(np.int64))


def _read_idx(
    folder: Path, name: str, *, num_axes: int
) -> tuple[Path, NDArray[np.uint8]]:
    """Read an idx file of bytes: magic number, big-endian sizes, values."""
    file = folder / name
    if not file.is_file():
        file = folder / f"{name}.gz"
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: missing {name} or {file.name}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    start = 4 + 4 * num_axes
    if content[:4] != bytes((0, 0, 8, num_axes)) or len(content) < start:
        raise InputError(f"{file}: is no idx file of bytes with {num_axes} axes")
    shape = tuple(int(side) for side in np.frombuffer(content[4:start], ">u4"))
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape):
        raise InputError(
            f"{file}: holds {values.size} values; its header says {shape}. Is it cut "
            "off?"
        )
    return file, values.reshape(shape)


FASHION_MNIST = FashionMnist()
