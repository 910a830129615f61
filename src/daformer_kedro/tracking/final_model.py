"""Model after the last task, as an MLflow model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

import daformer_kedro
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.pipelines.naming import (
    CHECKPOINT,
    IMAGES,
    MODEL_COMPANIONS,
    of_task,
    task_name,
)
from daformer_kedro.run_state import StateHooks
from daformer_kedro.serving.classifier import NUM_RANKED
from daformer_kedro.tracking.client import TrackingClient

_PACKAGE = Path(daformer_kedro.__file__).parent
_NUM_EXAMPLES = 2

# For classifying; the package itself goes along as code.
_REQUIREMENTS = ["mlflow", "numpy", "pandas", "pillow", "psutil", "pydantic"]
_REQUIREMENTS += ["safetensors", "torch"]


class FinalModelHooks(StateHooks):
    """Logs the model of the last task to the parent run, and registers it if asked."""

    def __init__(self, client: TrackingClient) -> None:
        self._client = client

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Log the final checkpoint, while the parent run is open."""
        if not self._client.is_open():
            return
        last = task_name(self.state.tasks.num_tasks - 1)
        made = pipeline.all_outputs()
        if of_task(last, CHECKPOINT) not in made:
            return
        stored: Any = catalog
        files = {
            name: stored[of_task(last, name)].filepath
            for name in (CHECKPOINT, *MODEL_COMPANIONS)
            if of_task(last, name) in made
        }

        description = stored[of_task(last, CHECKPOINT)].load().description
        origin = description.get("encoder") or {}  # of pretrained weights
        self._client.set_tags({f"encoder_{k}": str(v) for k, v in origin.items()})

        encoder = encoder_class(self.state.config.model.encoder)

        def log() -> None:
            images = stored[IMAGES].load()  # files of it may be away
            example = images.view("test", np.arange(_NUM_EXAMPLES))
            log_model(
                files,
                example,
                self.state.config.mlflow.register_model_as,
                requirements=(*_REQUIREMENTS, *encoder.requirements),
            )

        self._client.queue.send(log)


def log_model(
    files: Mapping[str, Path],
    example: np.ndarray,
    registered_as: str | None,
    requirements: Sequence[str] = _REQUIREMENTS,
) -> Any:
    """Log a model as a pyfunc model of the active run.

    Args:
        files: by name: ``checkpoint``, and what is stored with it; see
            :mod:`daformer_kedro.serving.served_model`.
        example: (n, H, W, C) uint8, kept with the model.
        registered_as: name in the model registry; ``None`` for none.
        requirements: packages that the model needs, of the versions here.

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
            pip_requirements=[f"{name}=={version(name)}" for name in requirements],
            registered_model_name=registered_as,
        )


def _signature() -> ModelSignature:
    # Of the outputs alone. MLflow knows no input that is either text in base64 or an
    # array; the model checks it by itself and says what is wrong.
    kinds = {"class": "string", "probability": "float", "task": "long"}
    ranked = [
        ColSpec(kind, f"{name}_{rank}", required=False)
        for rank in range(1, NUM_RANKED + 1)
        for name, kind in kinds.items()
    ]
    outputs = Schema(
        [
            ColSpec("string", "class_name"),
            ColSpec("double", "probability"),
            *ranked,
            ColSpec("float", "unknown_score"),
            ColSpec("boolean", "is_unknown", required=False),
        ]
    )
    return ModelSignature(outputs=outputs)
