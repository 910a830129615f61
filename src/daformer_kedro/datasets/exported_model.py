"""An exported model as a folder of files."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.datasets.local_path import local_path
from daformer_kedro.serving.export import ExportedModel
from daformer_kedro.storage.whole_files import beside, put_in_place


class ExportedModelDataset(AbstractDataset[ExportedModel, Path]):
    """Writes ``<path>/<name of the model>/export`` atomically.

    Args:
        path: folder of models.
        metadata: for plugins such as Kedro-Viz.

    Attributes:
        saved: the folder written last.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = local_path(path)
        self.metadata = metadata
        self.saved: Path | None = None

    def load(self) -> Path:
        """Return the folder written last."""
        if self.saved is None:
            raise DatasetError("no model was exported in this session")
        return self.saved

    def save(self, data: ExportedModel) -> None:
        """Write the four files."""
        folder = self._path / data.name / "export"
        text = json.dumps(
            dict(data.metadata), ensure_ascii=False, indent=2, allow_nan=False
        )
        text += "\n"
        try:
            with beside(folder) as written:
                written.mkdir()
                (written / "model.onnx").write_bytes(data.onnx)
                (written / "model.pt2").write_bytes(data.program)
                (written / "metadata.json").write_text(text, encoding="utf-8")
                (written / "MODEL_CARD.md").write_text(data.card, encoding="utf-8")
                put_in_place(written, folder)
        except OSError as error:
            raise DatasetError(f"cannot write {folder}: {error}") from error
        self.saved = folder

    def _exists(self) -> bool:
        return self.saved is not None

    def _describe(self) -> dict[str, Any]:
        return {"path": PurePosixPath(self._path)}
