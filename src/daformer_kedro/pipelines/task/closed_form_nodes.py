"""The node that learns a task in closed form: statistics, and what follows from them.

Apart from the nodes that train, so that a change of a method trains nothing again.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.config import (
    EvaluationConfig,
    PreprocessingConfig,
    validated,
)
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.methods import METHODS
from daformer_kedro.methods.closed_form import ClosedFormMethod, TaskFeatures
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.pipelines.task.expansion import model_of_task
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import class_names, sample_index

Parameters = dict[str, Any]


def learn_task_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    task_data: pd.DataFrame,
    model: Parameters,
    baseline: str,
    baseline_settings: Parameters,
    preprocessing: Parameters,
    evaluation: Parameters,
    seed: int,
    device: str,
    previous: Checkpoint | None = None,
    statistics: dict[str, Tensor] | None = None,
) -> tuple[Checkpoint, dict[str, Tensor]]:
    """Add the task's statistics, and work out what classifies all classes so far."""
    network = model_of_task(previous, model, images, samples, seed, divergence=False)
    used = validated(PreprocessingConfig, preprocessing, "preprocessing")
    batch_size = validated(EvaluationConfig, evaluation, "evaluation").batch_size
    extractor = Extractor(network.to(resolve_device(device)), used, batch_size)
    features, _ = extractor.extract(images, "train", sample_index(task_data))
    method = METHODS[baseline](baseline_settings)
    assert isinstance(method, ClosedFormMethod)
    task = TaskFeatures(
        features=features,
        targets=targets_of(task_data),
        sample_index=torch.from_numpy(sample_index(task_data).to_numpy(copy=True)),
        num_classes=network.num_classes,
        seed=seed,
    )
    added = method.add_task(statistics, task)
    network.closed_form = method.classifier(added).to(network.device)
    learned = Checkpoint.of(
        network, preprocessing=used, class_names=class_names(samples)
    )
    return learned, dict(added)
