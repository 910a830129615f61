"""A wrapper that makes any file dataset write whole files or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition


class StoredDataset(AbstractDataset[Any, Any]):
    """Stores what another dataset writes, under a temporary name until it is whole.

    In the catalog::

        metrics:
          type: daformer_kedro.datasets.StoredDataset
          filepath: data/08_reporting/metrics.json
          dataset: json.JSONDataset

    Args:
        filepath: local file, or folder for datasets that write several files.
        dataset: the dataset that knows the format: its type, or a mapping with
            ``type`` and arguments other than ``filepath``.
        metadata: for plugins such as Kedro-Viz.

    Attributes:
        filepath: where the whole file or folder lies.
    """

    def __init__(
        self,
        *,
        filepath: str,
        dataset: str | dict[str, Any],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.filepath = Path(filepath)
        definition = {"type": dataset} if isinstance(dataset, str) else dataset
        self._class, self._arguments = parse_dataset_definition(deepcopy(definition))
        self.metadata = metadata

    def _inner(self, filepath: Path) -> AbstractDataset[Any, Any]:
        arguments = {**self._arguments, "filepath": filepath.as_posix()}
        return self._class(**arguments)

    def load(self) -> Any:
        """Load through the inner dataset."""
        return self._inner(self.filepath).load()

    def save(self, data: Any) -> None:
        """Write beside the target, flush to the disk, then rename over it."""
        parent = self.filepath.parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(
                tempfile.mkdtemp(prefix=f".{self.filepath.name}.", dir=parent)
            )
        except OSError as error:
            raise DatasetError(f"cannot write {self.filepath}: {error}") from error
        try:
            # The suffix stays, since some writers choose the format by it.
            written = folder / self.filepath.name
            self._inner(written).save(data)
            _flush(written)
            if self.filepath.is_dir():
                self.filepath.rename(folder / "replaced")
            os.replace(written, self.filepath)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _exists(self) -> bool:
        return self.filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": PurePosixPath(self.filepath),
            "dataset": self._class.__name__,
        }

    def __getattr__(self, name: str) -> Any:
        # Kedro-Viz shows a preview where a dataset has such a method, and warns where
        # that fails: before there is anything to show, there is no method.
        if name in ("preview", "preview_args") and self.filepath.exists():
            return self._preview_of_inner(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _preview_of_inner(self, name: str) -> Callable[..., Any]:
        return getattr(self._inner(self.filepath), name)


def _flush(path: Path) -> None:
    """Make sure that a file, or every file of a folder, is on the disk."""
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
