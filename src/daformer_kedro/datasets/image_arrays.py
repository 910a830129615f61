"""All images of a source as memory-mapped arrays in a folder."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.scenario.images import ImageArrays

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_NAMES = "class_names.json"


class ImageArraysDataset(AbstractDataset[ImageArrays, ImageArrays]):
    """:class:`~daformer_kedro.scenario.images.ImageArrays` in ``.npy`` files.

    Loading maps the files, so that several processes share one copy in memory.

    Args:
        filepath: local path of the folder.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> ImageArrays:
        """Map the arrays and read the class names."""
        try:
            names = json.loads((self._folder / _NAMES).read_text(encoding="utf-8"))
            arrays = {
                name: np.load(self._folder / f"{name}.npy", mmap_mode="r")
                for name in _ARRAYS
            }
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self._folder} is not whole: {error}") from error
        return ImageArrays(**arrays, class_names=tuple(names))

    def save(self, data: ImageArrays) -> None:
        """Write one file an array, and the class names."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(self._folder / f"{name}.npy", getattr(data, name))
        text = json.dumps(list(data.class_names), ensure_ascii=False, indent=2)
        (self._folder / _NAMES).write_text(text + "\n", encoding="utf-8")

    def _exists(self) -> bool:
        return (self._folder / _NAMES).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": PurePosixPath(self._folder)}
