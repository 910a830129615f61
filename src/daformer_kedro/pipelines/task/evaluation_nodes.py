"""The node that evaluates a task.

Apart from the other nodes, so that a change of metrics does not train anything anew.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from torch import Tensor

from daformer_kedro.config import EvaluationConfig, validated
from daformer_kedro.evaluation.metrics import evaluate_predictions
from daformer_kedro.evaluation.predictions import prediction_table
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.neighbourhood import neighbourhood_preservation
from daformer_kedro.learning.task_data import select_images
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.scenario.images import Images

Parameters = dict[str, Any]


def evaluate_task_node(
    images: Images,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: Parameters,
    device: str,
    exemplars: pd.DataFrame | None = None,
    task_data: pd.DataFrame | None = None,
    neighbourhood: dict[str, Tensor] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Test on all classes seen so far, and measure how neighbourhoods were kept."""
    batch_size = validated(EvaluationConfig, evaluation, "evaluation").batch_size
    model = checkpoint.build(resolve_device(device))
    seen = samples[samples["split"] == "test"]
    pixels = select_images(images, "test", seen["index"])
    _, logits = extract(model, pixels, checkpoint.preprocessing, batch_size)
    predictions = prediction_table(logits, seen)
    preservation = None
    if neighbourhood is not None and task_data is not None:
        pixels = select_images(images, "train", task_data["index"])
        features, _ = extract(model, pixels, checkpoint.preprocessing, batch_size)
        known = features[:, : neighbourhood["features"].shape[1]]
        preservation = neighbourhood_preservation(neighbourhood["neighbours"], known)
    metrics = evaluate_predictions(
        predictions, model.num_tasks - 1, model.num_classes
    ) | {
        "num_parameters": sum(weight.numel() for weight in model.parameters()),
        "num_exemplars": 0 if exemplars is None else len(exemplars),
        "neighbourhood_preservation": preservation,
    }
    return predictions, metrics
