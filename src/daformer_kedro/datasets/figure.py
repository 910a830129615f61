"""A figure as a PNG file."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import ImagePreview

from daformer_kedro.datasets.local_path import local_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureDataset(AbstractDataset["Figure", bytes]):
    """Saves a matplotlib figure; loads the PNG file, as it is, for a report.

    Equal figures give equal bytes.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = local_path(filepath)
        self.metadata = metadata

    def load(self) -> bytes:
        """Read the PNG."""
        return self._filepath.read_bytes()

    def save(self, data: Figure) -> None:
        """Draw the figure."""
        # matplotlib takes half a second to import, also for commands without figures.
        from daformer_kedro.evaluation.figures import figure_to_png

        self._filepath.write_bytes(figure_to_png(data))

    def preview(self) -> ImagePreview:
        """The image in base64, as Kedro-Viz shows it."""
        return ImagePreview(base64.b64encode(self.load()).decode("ascii"))

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": PurePosixPath(self._filepath)}
