"""A trained model outside the pipelines: classify images, serve, export, show.

Knows neither Kedro nor MLflow, but for ``mlflow_model``, which MLflow loads.
"""

from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.exemplar_bank import ExemplarBank
from daformer_kedro.serving.served_model import ServedModel

__all__ = ["Classifier", "ExemplarBank", "ServedModel"]
