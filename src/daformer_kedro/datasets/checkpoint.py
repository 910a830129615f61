"""A model's weights and description in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from daformer_kedro.model.checkpoint import Checkpoint

# One entry only: the format does not keep an order, and equal models must give equal
# bytes.
_ENTRY = "daformer"


class CheckpointDataset(AbstractDataset[Checkpoint, Checkpoint]):
    """A :class:`~daformer_kedro.model.checkpoint.Checkpoint`, without pickled code.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Checkpoint:
        """Load weights onto the CPU, and the description."""
        try:
            with safe_open(self._filepath, framework="pt") as file:
                description = json.loads(file.metadata()[_ENTRY])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{self._filepath} is not a whole checkpoint of this project: {error}"
            ) from error
        return Checkpoint(weights, description)

    def save(self, data: Checkpoint) -> None:
        """Write weights and description."""
        description = json.dumps(data.description, sort_keys=True)
        save_file(dict(data.weights), self._filepath, metadata={_ENTRY: description})

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": PurePosixPath(self._filepath)}
