"""The model after the last task, as an MLflow model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import daformer_kedro
from daformer_kedro.config.run import Config
from daformer_kedro.datasets.images import index_in
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.scenario.plan import make_plan
from daformer_kedro.serving.classifier import NUM_RANKED
from daformer_kedro.tracking.logbook import LOGBOOK

_PACKAGE = Path(daformer_kedro.__file__).parent
_NUM_EXAMPLES = 2
_BESIDE = ("calibration", "known_images", "model_facts")

# What classifying needs; the package itself goes along as code.
_REQUIREMENTS = (
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "psutil",
    "pydantic",
    "safetensors",
    "torch",
)


class FinalModelHooks:
    """Logs the model of the last task to the parent run, and registers it if asked."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._project = Path()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the settings."""
        self._config = Config.from_parameters(context.config_loader["parameters"])
        self._project = Path(context.project_path)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Log the final checkpoint, while kedro-mlflow's run is open."""
        run = mlflow.active_run()
        if run is None or self._config is None:
            return
        index = index_in(self._project, self._config)
        last = task_name(make_plan(self._config, index).num_tasks - 1)
        name = f"{last}.checkpoint"
        if name not in pipeline.all_outputs():
            return
        stored: Any = catalog
        # Beside the checkpoint, where the run has made them.
        others = [f"{last}.{other}" for other in _BESIDE]
        made = [name, *(n for n in others if n in pipeline.all_outputs())]
        files = {n.rpartition(".")[2]: stored[n].filepath for n in made}
        registered = self._config.mlflow.register_model_as

        def log() -> None:
            images = stored["images"].load()  # files of it may be away
            example = images.view("test", np.arange(_NUM_EXAMPLES))
            log_model(files, example, registered)

        LOGBOOK.attempt(log)


def log_model(
    files: Mapping[str, Path], example: np.ndarray, registered_as: str | None
) -> Any:
    """Log a model as a pyfunc model of the active run.

    Args:
        files: by name: ``checkpoint``, and what lies beside it; see
            :mod:`daformer_kedro.serving.served_model`.
        example: (n, H, W, C) uint8, kept beside the model.
        registered_as: name in the model registry; ``None`` for none.

    Returns:
        MLflow's description of the model.
    """
    with warnings.catch_warnings():
        # MLflow would rather infer the signature from types; it is given.
        warnings.filterwarnings("ignore", message=".*Add type hints")
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_PACKAGE / "serving" / "mlflow_model.py"),
            artifacts={name: str(path) for name, path in files.items()},
            code_paths=[str(_PACKAGE)],
            signature=_signature(),
            metadata={"image_shape": list(example.shape[1:])},
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            registered_model_name=registered_as,
        )


def _signature() -> ModelSignature:
    # Of the outputs alone. MLflow knows no input that is either text in base64 or an
    # array; the model checks it by itself and says what is wrong.
    ranks = [
        ColSpec(kind, f"{what}_{rank}", required=False)
        for rank in range(1, NUM_RANKED + 1)
        for what, kind in (
            ("class", DataType.string),
            ("probability", DataType.float),
            ("task", DataType.long),
        )
    ]
    return ModelSignature(
        outputs=Schema(
            [
                ColSpec(DataType.string, "class_name"),
                ColSpec(DataType.double, "probability"),
                *ranks,
                ColSpec(DataType.float, "unknown_score"),
                ColSpec(DataType.boolean, "is_unknown", required=False),
            ]
        ),
    )
