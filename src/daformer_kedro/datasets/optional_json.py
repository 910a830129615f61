"""A JSON file of another run, which may be missing."""

from __future__ import annotations

import json
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.datasets.local_file import LocalFile


class OptionalJSONDataset(LocalFile, AbstractDataset[None, Any]):
    """Loads a JSON file, or ``None`` where it is missing; read only.

    For what enriches a result and is not necessary.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.

    Attributes:
        filepath: the same, as a path.
    """

    def load(self) -> Any:
        """Read the file, if it is there.

        Raises:
            DatasetError: it is there and is not JSON.
        """
        try:
            text = self.filepath.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise DatasetError(f"{self.filepath} is damaged: {error}") from error

    def save(self, data: None) -> None:
        """Refuse: the other run writes it."""
        raise DatasetError(f"{self.filepath} is read only here")

    def _exists(self) -> bool:
        return True
