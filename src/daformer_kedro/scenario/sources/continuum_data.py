"""Source ``continuum``: a data set of the library continuum, by its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages, SourceMetadata

DATASETS = (
    "FashionMNIST",
    "KMNIST",
    "MNIST",
    "MNISTFellowship",
    "RainbowMNIST",
    "STL10",
    "SVHN",
)
"""Classes of continuum whose files hold arrays of bytes, read as such.

Of the others, some execute what they read (the pickles of MetaShift and CIFAR, archives
unpacked wherever they say), some give paths of files or sound, some labels that are not
one class for each image, and some need arguments of their own.
"""


class ContinuumData:
    """Images of ``continuum.datasets.<source.dataset>``, one of :data:`DATASETS`."""

    def metadata(self, config: SourceConfig) -> SourceMetadata:
        """Return classes, image size and channels; the data is read once for it."""
        train = _read(*_arguments(config), train=True)
        num_classes = int(train.labels.max()) + 1
        return SourceMetadata(
            class_names=tuple(str(label) for label in range(num_classes)),
            image_size=train.images.shape[1],
            num_channels=train.images.shape[3],
        )

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Read training and test images.

        Raises:
            InputError: the data set is not one of :data:`DATASETS`, continuum cannot
                read it, or it holds something other than square images in arrays.
        """
        train = _read(*_arguments(config), train=True)
        if config.on_validation:
            return train, train
        return train, _read(*_arguments(config), train=False)


def _arguments(config: SourceConfig) -> tuple[str, str, bool]:
    if config.dataset is None or config.path is None:
        raise InputError(
            f"source.dataset = {config.dataset} and source.path = {config.path}: "
            "source continuum needs both, such as dataset=KMNIST and the folder of "
            "its files"
        )
    if config.dataset not in DATASETS:
        raise InputError(
            f"source.dataset = {config.dataset!r}: allowed: {', '.join(DATASETS)}. "
            "Only files of plain arrays are read through continuum: it would execute "
            "the pickles of some of its data sets, and give something other than "
            "images in arrays for the rest. For CIFAR: source.name=cifar10 or "
            "cifar100; for images in files: source.name=image_folder"
        )
    if not config.download and not Path(config.path).expanduser().is_dir():
        # continuum would make the folder.
        raise InputError(f"source.path = {config.path}: is not a folder")
    return config.dataset, config.path, config.download


@cache
def _read(dataset: str, path: str, download: bool, *, train: bool) -> LabelledImages:
    from continuum import datasets

    kind = getattr(datasets, dataset)
    folder = str(Path(path).expanduser())
    try:
        pixels, labels, _ = kind(folder, train=train, download=download).get_data()
    except Exception as error:  # each data set fails in its own way
        raise InputError(
            f"source.dataset = {dataset!r}: continuum cannot read it from "
            f"source.path = {path}: {error}"
        ) from error
    return LabelledImages(_images(pixels, dataset), labels.astype(np.int64))


def _images(pixels: np.ndarray, dataset: str) -> np.ndarray:
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        pixels = pixels[..., np.newaxis]
    square = pixels.ndim == 4 and pixels.shape[1] == pixels.shape[2]
    if not square or pixels.dtype != np.uint8 or pixels.shape[3] not in (1, 3):
        raise InputError(
            f"source.dataset = {dataset!r}: gives {pixels.dtype} of shape "
            f"{pixels.shape}; 8-bit square images in one array are needed. For images "
            "in files: source.name=image_folder"
        )
    return pixels


CONTINUUM = ContinuumData()
