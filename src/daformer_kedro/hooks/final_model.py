"""The model after the last task, as an MLflow model."""

from __future__ import annotations

import warnings
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
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

import daformer_kedro
from daformer_kedro.config import Config
from daformer_kedro.hooks.logbook import LOGBOOK
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.scenario.plan import make_plan

_PACKAGE = Path(daformer_kedro.__file__).parent
_NUM_EXAMPLES = 2

# What classifying needs; the package itself goes along as code.
_REQUIREMENTS = (
    "jinja2",
    "kedro",
    "kedro-datasets",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "timm",
    "torch",
    "torchvision",
)


class FinalModelHooks:
    """Logs the model of the last task to the parent run, and registers it if asked."""

    def __init__(self) -> None:
        self._config: Config | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the settings."""
        self._config = Config.from_parameters(context.config_loader["parameters"])

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Log the final checkpoint, while kedro-mlflow's run is open."""
        run = mlflow.active_run()
        if run is None or self._config is None:
            return
        last = task_name(make_plan(self._config).num_tasks - 1)
        name = f"{last}.checkpoint"
        if name not in pipeline.all_outputs():
            return
        stored: Any = catalog
        images = stored["images"].load()
        example = images.view("test", np.arange(_NUM_EXAMPLES))
        registered = self._config.mlflow.register_model_as
        LOGBOOK.attempt(lambda: log_model(stored[name].filepath, example, registered))


def log_model(checkpoint: Path, example: np.ndarray, registered_as: str | None) -> Any:
    """Log a checkpoint as a pyfunc model of the active run.

    Args:
        checkpoint: the stored file.
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
            artifacts={"checkpoint": str(checkpoint)},
            code_paths=[str(_PACKAGE)],
            signature=_signature(example),
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            registered_model_name=registered_as,
        )


def _signature(example: np.ndarray) -> ModelSignature:
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *example.shape[1:]))]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "class_name"),
                ColSpec(DataType.float, "probability"),
            ]
        ),
    )
