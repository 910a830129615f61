"""A figure as a PNG file."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kedro.io import AbstractDataset
from kedro_datasets._typing import ImagePreview

from daformer_kedro.datasets.local_file import LocalFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureDataset(LocalFile, AbstractDataset["Figure", bytes]):
    """Saves a matplotlib figure; loads the PNG file, as it is, for a report.

    Equal figures give equal bytes.

    Args:
        filepath: local path of the file.
        metadata: for plugins such as Kedro-Viz.
    """

    def load(self) -> bytes:
        """Read the PNG."""
        return self.filepath.read_bytes()

    def save(self, data: Figure) -> None:
        """Draw the figure."""
        # matplotlib takes half a second to import, also for commands without figures.
        from daformer_kedro.evaluation.figures import figure_to_png

        self.filepath.write_bytes(figure_to_png(data))

    def preview(self) -> ImagePreview:
        """Return the image in base64, as Kedro-Viz shows it."""
        return ImagePreview(base64.b64encode(self.load()).decode("ascii"))
