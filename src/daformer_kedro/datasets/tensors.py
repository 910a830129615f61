"""Named tensors in one safetensors file."""

from __future__ import annotations

from kedro.io import AbstractDataset, DatasetError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from daformer_kedro.datasets.local_file import LocalFile


class TensorsDataset(LocalFile, AbstractDataset[dict[str, Tensor], dict[str, Tensor]]):
    """A mapping of names to tensors; the file holds data and no code.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.
    """

    def load(self) -> dict[str, Tensor]:
        """Load all tensors onto the CPU."""
        try:
            return load_file(self.filepath)
        except SafetensorError as error:
            raise DatasetError(f"{self.filepath} is damaged: {error}") from error

    def save(self, data: dict[str, Tensor]) -> None:
        """Write all tensors."""
        save_file({k: v.contiguous() for k, v in data.items()}, self.filepath)
