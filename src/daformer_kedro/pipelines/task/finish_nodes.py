"""The node in which a method finishes a task.

In a module of its own, so that a change of a method trains nothing again.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from daformer_kedro.methods import METHODS
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import sample_index


def finish_task_node(
    images: Images | EmbeddedImages,
    exemplars: pd.DataFrame,
    learned: Checkpoint,
    baseline: str,
    baseline_settings: dict[str, Any],
    evaluation: dict[str, Any],
    device: str,
) -> Checkpoint:
    """Change the learned model as its method does, such as aligning its heads."""
    extractor = Extractor.of(learned, evaluation, device)
    features, _ = extractor.extract(images, "train", sample_index(exemplars))
    method = METHODS[baseline](baseline_settings)
    method.finish(extractor.model, features, targets_of(exemplars))
    return Checkpoint.of(
        extractor.model,
        preprocessing=learned.preprocessing,
        class_names=learned.description["class_names"],
    )
