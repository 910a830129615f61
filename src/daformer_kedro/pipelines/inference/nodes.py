"""Nodes of the inference pipeline."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from daformer_kedro.config import InferenceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.serving import Classifier, ServedModel
from daformer_kedro.serving.image_paths import find_images
from daformer_kedro.serving.prediction import predict_files


def predict_images_node(
    model: ServedModel, inference: InferenceConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Classify files; the table goes out in two formats."""
    if inference.images is None:
        raise InputError(
            "inference.images is not set: a file, a folder or a CSV of paths, such as "
            "--params inference.images=photos"
        )
    table = predict_files(
        Classifier(model, resolve_device(inference.device, "inference.device")),
        find_images(Path(os.path.expanduser(inference.images))),
        inference.batch_size,
    )
    return table, table
