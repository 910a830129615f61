"""Predictions of finished runs, by run key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.datasets.local_path import local_path

_FILE = "task_*/predictions.parquet"
_COLUMNS = ["sample_index", "target", "predicted"]


class RunPredictions(Mapping[str, list[pd.DataFrame]]):
    """Tables of predictions after each task, read at each look-up.

    A run one of whose tables is damaged has none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, run_key: str) -> list[pd.DataFrame]:
        if Path(run_key).name != run_key:
            raise KeyError(run_key)
        files = sorted((self._folder / run_key).glob(_FILE))
        try:
            tables = [pd.read_parquet(file, columns=_COLUMNS) for file in files]
        except (OSError, ValueError) as error:
            raise KeyError(run_key) from error
        if not tables:
            raise KeyError(run_key)
        return tables

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({path.parents[1].name for path in self._files()}))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _files(self) -> Iterator[Path]:
        return self._folder.glob(f"*/{_FILE}")


class RunPredictionsDataset(AbstractDataset[None, RunPredictions]):
    """Predictions that runs of this project have stored; read only.

    Args:
        path: folder of the runs' folders.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = local_path(path)
        self.metadata = metadata

    def load(self) -> RunPredictions:
        """Return the predictions, of which none is read yet."""
        return RunPredictions(self._path)

    def save(self, data: None) -> None:
        """Refuse: predictions are written by runs."""
        raise DatasetError("RunPredictionsDataset is read only")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}
