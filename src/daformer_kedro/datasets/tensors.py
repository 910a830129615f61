"""Named tensors in one safetensors file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from daformer_kedro.datasets.local_path import local_path


class TensorsDataset(AbstractDataset[dict[str, Tensor], dict[str, Tensor]]):
    """A mapping of names to tensors; the file holds data and no code.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = local_path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Tensor]:
        """Load all tensors onto the CPU."""
        try:
            return load_file(self._filepath)
        except SafetensorError as error:
            raise DatasetError(f"{self._filepath} is damaged: {error}") from error

    def save(self, data: dict[str, Tensor]) -> None:
        """Write all tensors."""
        save_file({k: v.contiguous() for k, v in data.items()}, self._filepath)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": PurePosixPath(self._filepath)}
