"""The model that a task begins with, from what its nodes are given."""

from __future__ import annotations

from typing import Any

import pandas as pd

from daformer_kedro.config import ModelConfig, validated
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import num_new_classes


def model_of_task(
    previous: Checkpoint | None,
    model: dict[str, Any],
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    seed: int,
    *,
    divergence: bool,
) -> DAFormer:
    """Return a model ready to learn the classes that are new in ``samples``.

    Args:
        previous: the model after the task before; ``None`` makes a new one.
        model: the section of the parameters.
        images: of the source, which say what size the model takes.
        samples: of the task.
        seed: the run's seed.
        divergence: give an expanded model the auxiliary divergence head.
    """
    return expand_model(
        previous,
        validated(ModelConfig, model, "model"),
        image_size=images.image_size,
        in_channels=images.num_channels,
        num_new_classes=num_new_classes(samples),
        seed=seed,
        divergence=divergence,
    )
