"""Kedro datasets of this project."""

from daformer_kedro.datasets.checkpoint import CheckpointDataset
from daformer_kedro.datasets.embedded_images import EmbeddedImagesDataset
from daformer_kedro.datasets.exported_model import ExportedModelDataset
from daformer_kedro.datasets.figure import FigureDataset
from daformer_kedro.datasets.images import ImagesDataset
from daformer_kedro.datasets.mlflow_runs import MlflowRunsDataset
from daformer_kedro.datasets.optional_json import OptionalJSONDataset
from daformer_kedro.datasets.run_predictions import RunPredictionsDataset
from daformer_kedro.datasets.served_model import ServedModelDataset
from daformer_kedro.datasets.stored import StoredDataset
from daformer_kedro.datasets.tensors import TensorsDataset
from daformer_kedro.datasets.training_state import TrainingStateDataset

__all__ = [
    "CheckpointDataset",
    "EmbeddedImagesDataset",
    "ExportedModelDataset",
    "FigureDataset",
    "ImagesDataset",
    "MlflowRunsDataset",
    "OptionalJSONDataset",
    "RunPredictionsDataset",
    "ServedModelDataset",
    "StoredDataset",
    "TensorsDataset",
    "TrainingStateDataset",
]
