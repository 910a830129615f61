"""Any dataset of continuum that loads whole, as arrays, without a download."""

from __future__ import annotations

import difflib
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages, SourceFacts


class ContinuumDataset:
    """The dataset ``source.dataset`` at ``source.path``.

    Names and sizes are only known once it is loaded, so ``facts`` loads it.
    """

    def facts(self, config: SourceConfig) -> SourceFacts:
        """Return the labels as names, and size and channels of the images."""
        train, _ = self.read(config)
        return SourceFacts(
            class_names=tuple(str(n) for n in range(int(train.labels.max()) + 1)),
            image_size=int(train.images.shape[1]),
            num_channels=int(train.images.shape[3]),
        )

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Load training and test set.

        Raises:
            InputError: there is no such dataset, it does not load from ``source.path``
                or its images are no square arrays.
        """
        if config.dataset is None:
            raise InputError(
                "source.dataset is not set; source continuum needs the name of a "
                "class of continuum.datasets, such as KMNIST"
            )
        path = "" if config.path is None else config.path
        folder = str(Path(path).expanduser().absolute())
        return (
            _load(config.dataset, folder, config.download, True),
            _load(config.dataset, folder, config.download, False),
        )


@lru_cache(maxsize=2)
def _load(name: str, folder: str, download: bool, train: bool) -> LabelledImages:
    dataset_class = _class_named(name)
    where = f"source.dataset = {name} in source.path = {folder}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as its 1-based labels made 0-based
            dataset = dataset_class(folder, train=train, download=download)
            images, labels, _ = dataset.get_data()
    except Exception as error:  # each dataset raises its own kinds
        raise InputError(
            f"{where}: does not load as continuum's class of that name: {error}"
        ) from error
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            f"{where}: gives {images.dtype} of shape {images.shape}; it must give "
            "uint8 images. Images in files can be read as source.name: image_folder"
        )
    return LabelledImages(images, np.asarray(labels).astype(np.int64).reshape(-1))


def _class_named(name: str) -> Any:
    from continuum import datasets

    base = datasets._ContinuumDataset
    known = sorted(
        key
        for key, value in vars(datasets).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    )
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            f"source.dataset = {name!r} is not in continuum.datasets; {hint}Known: "
            f"{', '.join(known)}"
        )
    return getattr(datasets, name)


CONTINUUM = ContinuumDataset()
