"""A model's weights and description in one safetensors file."""

from __future__ import annotations

from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.datasets.local_file import LocalFile
from daformer_kedro.errors import InputError
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.checkpoint_file import read_checkpoint, write_checkpoint


class CheckpointDataset(LocalFile, AbstractDataset[Checkpoint, Checkpoint]):
    """A :class:`~daformer_kedro.model.checkpoint.Checkpoint`, without pickled code.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.
    """

    def load(self) -> Checkpoint:
        """Load weights onto the CPU, and the description."""
        try:
            return read_checkpoint(self.filepath)
        except InputError as error:
            raise DatasetError(str(error)) from error

    def save(self, data: Checkpoint) -> None:
        """Write weights and description."""
        write_checkpoint(data, self.filepath)
