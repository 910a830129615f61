"""The model as MLflow loads it: this file as it is, beside the checkpoint's file.

MLflow calls this "models from code": nothing is pickled, weights are safetensors.
"""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from daformer_kedro.datasets.checkpoint import CheckpointDataset
from daformer_kedro.serving.classifier import Classifier


class DAFormerModel(PythonModel):
    """Images in, class names and probabilities out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the network from the checkpoint among the model's artifacts."""
        path = context.artifacts["checkpoint"]
        self._classifier = Classifier(CheckpointDataset(filepath=path).load())

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """See :meth:`daformer_kedro.serving.classifier.Classifier.classify`."""
        return self._classifier.classify(np.asarray(model_input, dtype=np.uint8))


mlflow.models.set_model(DAFormerModel())
