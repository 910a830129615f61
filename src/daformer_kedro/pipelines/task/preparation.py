"""Preparation of what the nodes that learn a task read: settings, images, the model."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.config import ModelConfig, TrainingConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.task_images import TaskImages, select_images
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.extraction import targets_of
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import (
    class_names,
    num_new_classes,
    of_split,
    sample_index,
)


def home_device(training: TrainingConfig) -> torch.device:
    """Return where model and images meet; ranks bring them to their devices."""
    return resolve_device("cpu" if training.starts_ranks else training.device)


def task_images(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    device: torch.device,
    settings: LearningSettings,
    *,
    all_views: bool = True,
) -> TaskImages:
    """Select the images of some samples, to train on."""
    area = settings.augmentation.random_resized_crop
    chosen = select_images(
        images, "train", sample_index(samples), area, all_views=all_views
    )
    return TaskImages(
        images=chosen.to(device) if isinstance(chosen, Tensor) else chosen,
        targets=targets_of(samples).to(device),
    )


def validation_images(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    device: torch.device,
    settings: LearningSettings,
) -> TaskImages | None:
    """Select the images to choose the best epoch by, if the settings ask for it."""
    patience = settings.training.patience
    if patience is None:
        return None
    chosen = of_split(samples, "validation")
    if chosen.empty:
        raise InputError(
            f"training.patience = {patience}: of the classes so far "
            f"({', '.join(class_names(samples))}) there is no validation image"
        )
    return task_images(images, chosen, device, settings, all_views=False)


def checkpoint_of(
    model: DAFormer, settings: LearningSettings, samples: pd.DataFrame
) -> Checkpoint:
    """Take a learnt model apart, to be stored."""
    return Checkpoint.of(
        model,
        preprocessing=settings.preprocessing,
        class_names=class_names(samples),
    )


def model_of_task(
    previous: Checkpoint | None,
    model: ModelConfig,
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
        model,
        image_size=images.image_size,
        in_channels=images.num_channels,
        num_new_classes=num_new_classes(samples),
        seed=seed,
        divergence=divergence,
    )
