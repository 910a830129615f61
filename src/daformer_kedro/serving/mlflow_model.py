"""The model as MLflow loads it: this file as it is, with the model's files.

MLflow calls this "models from code": nothing is pickled, weights are safetensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel, PythonModelContext

from daformer_kedro.errors import InputError
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.request_log import RequestLog
from daformer_kedro.serving.requests import decode_images
from daformer_kedro.serving.served_model import read_model


class DAFormerModel(PythonModel):
    """Images in, class names, probabilities and unknown scores out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the network from the model's artifacts, which lie in one folder."""
        folder = Path(context.artifacts["checkpoint"]).parent
        model = read_model(folder, folder.parent.name)
        self._classifier = Classifier(model)
        name = str(model.metadata.get("run_key", model.name))
        self._log = RequestLog.from_environment(name)

    # No hint on model_input: MLflow would take it for a schema.
    def predict(  # type: ignore[no-untyped-def]
        self,
        context: PythonModelContext,
        model_input,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Classify images.

        Args:
            context: unused.
            model_input (object): see
                :func:`daformer_kedro.serving.requests.decode_images`.
            params: unused.

        Returns:
            ``class_name`` and ``probability`` of the likeliest class, then the columns
            of :meth:`daformer_kedro.serving.classifier.Classifier.classify`.

        Raises:
            MlflowException: no images; a server answers 400 with the reason.
        """
        try:
            pixels = decode_images(self._classifier, model_input)
            answers = self._classifier.answer(pixels)
        except InputError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from error
        table = self._classifier.table(answers)
        if self._log is not None:
            self._log.append(table, answers.embeddings)
        # Missing values as None: JSON has no other.
        plain = table.astype(object).where(table.notna(), None)
        plain.insert(0, "class_name", plain["class_1"])
        plain.insert(1, "probability", plain["probability_1"].astype(float))
        return plain


mlflow.models.set_model(DAFormerModel())
