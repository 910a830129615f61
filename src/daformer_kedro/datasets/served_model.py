"""A trained model by run key, by run in MLflow or by registered name."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.datasets.local_path import local_path
from daformer_kedro.errors import InputError
from daformer_kedro.serving.finished_runs import read_newest_run, read_run
from daformer_kedro.serving.served_model import CHECKPOINT, ServedModel, read_model

_MLFLOW_RUN = re.compile(r"[0-9a-f]{32}")
_MLFLOW_SCHEMES = ("models:/", "runs:/")


class ServedModelDataset(AbstractDataset[None, ServedModel]):
    """Loads a model to use; read only.

    Args:
        model: a run key, the id of a run in MLflow, ``models:/NAME/VERSION``, the
            folder of a model downloaded from MLflow, or ``None`` for the newest
            finished run.
        path: folder with Kedro's data layers.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self,
        *,
        model: str | None,
        path: str,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._path = local_path(path)
        self.metadata = metadata

    def load(self) -> ServedModel:
        """Find and read the model.

        Raises:
            InputError: the model is not found, or one of its files is damaged.
        """
        return find_model(self._model, self._path)

    def save(self, data: None) -> None:
        """Refuse: runs make models."""
        raise DatasetError("ServedModelDataset is read only")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"model": self._model, "path": PurePosixPath(self._path)}


def is_in_mlflow(reference: str | None) -> bool:
    """Return whether a reference names a model in MLflow."""
    return reference is not None and (
        reference.startswith(_MLFLOW_SCHEMES) or bool(_MLFLOW_RUN.fullmatch(reference))
    )


def find_model(reference: str | None, data: Path) -> ServedModel:
    """Find a model, see :class:`ServedModelDataset`.

    Raises:
        InputError: the model is not found, or one of its files is damaged.
    """
    if reference is None:
        return read_newest_run(data)
    if is_in_mlflow(reference):
        return _read_from_mlflow(reference)
    if os.sep in reference:
        return _read_downloaded(Path(reference), reference, reference)
    return read_run(data, reference)


def _read_from_mlflow(reference: str) -> ServedModel:
    # Seconds to import, and needed here alone.
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = reference if "/" in reference else f"runs:/{reference}/model"
    try:
        downloaded = Path(mlflow.artifacts.download_artifacts(uri))
    except (MlflowException, OSError) as error:
        raise InputError(
            f"model = {reference!r} could not be loaded from MLflow at "
            f"{mlflow.get_tracking_uri()}: {getattr(error, 'message', error)}"
        ) from error
    return _read_downloaded(downloaded, reference, f"MLflow: {reference}")


def _read_downloaded(path: Path, reference: str, origin: str) -> ServedModel:
    """Read the folder of a model as MLflow stores it."""
    folder = path / "artifacts"
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"model = {reference!r} is not a model of this project")
    from mlflow.models import Model  # seconds to import, and needed here alone

    logged = datetime.fromisoformat(Model.load(str(path)).utc_time_created)
    made = logged.replace(tzinfo=UTC)
    model = read_model(folder, reference, origin, made)
    return replace(model, name=str(model.metadata.get("run_key", reference)))
