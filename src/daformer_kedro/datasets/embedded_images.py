"""Embedded images in a folder, memory-mapped."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from numpy.typing import NDArray

from daformer_kedro.datasets.local_path import local_path
from daformer_kedro.scenario.embedded_images import EmbeddedImages

_ARRAYS = ("train_tokens", "test_tokens")
_VIEWS = "train_views"  # where there are several of an image
_ABOUT = "images.json"


class EmbeddedImagesDataset(AbstractDataset[EmbeddedImages, EmbeddedImages]):
    """Stores tokens as ``.npy`` files, which loading maps.

    A map is moved; on another disk it is copied and removed.

    Args:
        filepath: local path of the folder.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = local_path(filepath)
        self.metadata = metadata

    def load(self) -> EmbeddedImages:
        """Map the arrays."""
        try:
            about = json.loads((self._folder / _ABOUT).read_text(encoding="utf-8"))
            there = (self._folder / f"{_VIEWS}.npy").exists()
            arrays = {
                name: np.load(self._folder / f"{name}.npy", mmap_mode="r")
                for name in (*_ARRAYS, *([_VIEWS] if there else []))
            }
            return EmbeddedImages(**arrays, **about)
        except (OSError, ValueError, TypeError) as error:
            raise DatasetError(f"{self._folder} is incomplete: {error}") from error

    def save(self, data: EmbeddedImages) -> None:
        """Write, or move, one file for each array."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in (*_ARRAYS, _VIEWS):
            array = getattr(data, name)
            if array is not None:
                _store(array, self._folder / f"{name}.npy")
        about = {"image_size": data.image_size, "num_channels": data.num_channels}
        (self._folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    def _exists(self) -> bool:
        return (self._folder / _ABOUT).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": PurePosixPath(self._folder)}


def _store(array: NDArray[np.float16], target: Path) -> None:
    source = getattr(array, "filename", None)
    try:
        if source is None:
            raise OSError("in memory")
        os.link(source, target)
    except OSError:  # also another disk, or one without links
        target.unlink(missing_ok=True)
        np.save(target, array)
    if source is not None:
        Path(source).unlink()
