"""The node that evaluates a task.

In a module of its own, so that a change of metrics trains nothing again.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from torch import Tensor

from daformer_kedro.config import EvaluationConfig
from daformer_kedro.evaluation.metrics import accuracy, evaluate_predictions
from daformer_kedro.evaluation.predictions import prediction_table
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.size import num_parameters
from daformer_kedro.objectives.neighbourhood import neighbourhood_preservation
from daformer_kedro.pipelines.extraction import Extractor
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import of_split, sample_index


def evaluate_task_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: EvaluationConfig,
    device: str,
    exemplars: pd.DataFrame | None = None,
    task_data: pd.DataFrame | None = None,
    neighbourhood: dict[str, Tensor] | None = None,
    training_history: pd.DataFrame | None = None,
    finetuning_history: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Test on all classes seen so far, and measure how neighbourhoods were kept.

    The histories are given where trainings may end before their last epoch.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    model = extractor.model
    seen = of_split(samples, "test")
    _, logits = extractor.extract(images, "test", sample_index(seen))
    predictions = prediction_table(logits, seen)
    preservation = None
    if neighbourhood is not None and task_data is not None:
        features, _ = extractor.extract(images, "train", sample_index(task_data))
        known = features[:, : neighbourhood["features"].shape[1]]
        preservation = neighbourhood_preservation(neighbourhood["neighbours"], known)
    metrics = evaluate_predictions(
        predictions, model.num_tasks - 1, model.num_classes
    ) | {
        "num_parameters": num_parameters(model),
        "num_exemplars": 0 if exemplars is None else len(exemplars),
        "neighbourhood_preservation": preservation,
    }
    validation = of_split(samples, "validation")
    if len(validation):
        _, logits = extractor.extract(images, "train", sample_index(validation))
        table = prediction_table(logits, validation)
        metrics["validation_accuracy"] = accuracy(table)
    histories = {"train": training_history, "finetune": finetuning_history}
    for phase, history in histories.items():
        if history is not None:
            metrics |= trained_epochs(phase, history)
    return predictions, metrics


def trained_epochs(phase: str, history: pd.DataFrame) -> dict[str, int]:
    """Count the epochs of a phase, and say what ended it before its last one.

    Args:
        phase: ``train`` or ``finetune``.
        history: its epochs.

    Returns:
        ``<phase>_epochs``, and 1 or 0 for ``<phase>_cut_by_time`` and
        ``<phase>_stopped_early``, which is by validation accuracy.
    """
    ends = set(history["ended_by"].dropna()) if "ended_by" in history else set()
    return {
        f"{phase}_epochs": len(history),
        f"{phase}_cut_by_time": int("time" in ends),
        f"{phase}_stopped_early": int("patience" in ends),
    }
