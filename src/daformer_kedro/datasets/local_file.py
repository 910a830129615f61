"""Parts that datasets with one local file have in common."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from daformer_kedro.datasets.local_path import local_path


class LocalFile:
    """First base of a dataset that keeps one local file or folder.

    Not a dataset itself: Kedro reads a dataset's arguments off the ``__init__`` that
    its class inherits from elsewhere.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.

    Attributes:
        filepath: the same, as a path.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self.filepath = local_path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self.filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": PurePosixPath(self.filepath)}
