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
    ModelConfig,
    PreprocessingConfig,
)
from daformer_kedro.evaluation.out_of_distribution import distance_to_bank
from daformer_kedro.learning.class_balance import image_weights
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.methods import METHODS
from daformer_kedro.methods.closed_form import (
    ClosedFormMethod,
    TaskFeatures,
    held_out_of,
)
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.pipelines.task.preparation import model_of_task
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import class_names, sample_index


def learn_task_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    task_data: pd.DataFrame,
    model: ModelConfig,
    baseline: str,
    baseline_settings: dict[str, Any],
    preprocessing: PreprocessingConfig,
    evaluation: EvaluationConfig,
    seed: int,
    device: str,
    class_balance: str,
    previous: Checkpoint | None = None,
    statistics: dict[str, Tensor] | None = None,
) -> tuple[Checkpoint, dict[str, Tensor], dict[str, Tensor]]:
    """Add the task's statistics, and work out what classifies all classes so far.

    Returns:
        The checkpoint, the statistics, and what is needed to calibrate: ``means``
        (C, E) of the classes, and of K held-out images the ``targets``, the ``logits``
        (K, C) and the ``distances`` to the nearest class mean, by a classifier and
        means that have not learnt them.
    """
    network = model_of_task(previous, model, images, samples, seed, divergence=False)
    network = network.to(resolve_device(device))
    extractor = Extractor(network, preprocessing, evaluation.batch_size)
    features, *views = extractor.extract_views(images, sample_index(task_data))
    method = METHODS[baseline](baseline_settings)
    assert isinstance(method, ClosedFormMethod)
    targets = targets_of(task_data)
    task = TaskFeatures(
        features=features,
        targets=targets,
        sample_index=torch.from_numpy(sample_index(task_data).to_numpy(copy=True)),
        num_classes=network.num_classes,
        seed=seed,
        weights=image_weights(class_balance, targets),
        views=tuple(views),
    )
    added = method.add_task(statistics, task)
    classifiers = method.classifiers(added)
    network.closed_form = classifiers.final.to(network.device)
    learned = Checkpoint.of(
        network, preprocessing=preprocessing, class_names=class_names(samples)
    )
    held = held_out_of(added)
    to_calibrate = {
        "means": held.means,
        "targets": held.targets,
        "logits": classifiers.fitted(held.features[None]),
        "distances": distance_to_bank(held.features, held.fitted_means),
    }
    return learned, dict(added), to_calibrate
