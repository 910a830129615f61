"""Nodes of a task's pipeline: catalog data in, calls of the library, catalog data out.

Every node takes the sections of the parameters that it reads and no other, so that a
stored result depends on those alone.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    MemoryConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
    validated,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.learning.distributed.launch import run_phase
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.learning.memory import (
    keep_everything,
    proportional_quotas,
    update_memory,
    with_class_sizes,
)
from daformer_kedro.learning.progress import history_table
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.task_images import TaskImages, select_images
from daformer_kedro.learning.training import (
    LearningSettings,
    finetune_on_memory,
    train_task,
)
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.objectives import is_needed
from daformer_kedro.objectives.knn_distillation import KNNDistillation
from daformer_kedro.objectives.neighbourhood import find_neighbours
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import (
    assemble_task_data,
    class_names,
    num_new_classes,
    of_split,
    sample_index,
)
from daformer_kedro.storage.state_file import StateFile

Parameters = dict[str, Any]


def assemble_task_data_node(
    samples: pd.DataFrame, exemplars: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Assemble what the task trains on: its own images and the memory's."""
    return assemble_task_data(samples, exemplars)


def find_teacher_neighbours_node(
    images: Images | EmbeddedImages,
    task_data: pd.DataFrame,
    teacher: Checkpoint,
    knn_distillation: Parameters,
    evaluation: Parameters,
    device: str,
) -> dict[str, Tensor]:
    """Find each sample's nearest neighbours under the model of the task before."""
    config = validated(KNNDistillation, knn_distillation, "losses.knn_distillation")
    extractor = Extractor.of(teacher, evaluation, device)
    features, _ = extractor.extract(images, "train", sample_index(task_data))
    neighbours = find_neighbours(features, config.num_neighbours)
    return {"features": features, "neighbours": neighbours}


def train_task_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    task_data: pd.DataFrame,
    model: Parameters,
    training: Parameters,
    losses: Parameters,
    augmentation: Parameters,
    preprocessing: Parameters,
    seed: int,
    previous: Checkpoint | None = None,
    neighbourhood: dict[str, Tensor] | None = None,
    state: StateFile | None = None,
) -> tuple[Checkpoint, pd.DataFrame]:
    """Train the task's keys and head, and what all tasks share, with a teacher."""
    settings = _settings(training, losses, augmentation, preprocessing, seed)
    device = _home(settings.training)
    student = expand_model(
        previous,
        validated(ModelConfig, model, "model"),
        image_size=images.image_size,
        in_channels=images.num_channels,
        num_new_classes=num_new_classes(samples),
        seed=seed,
        divergence=is_needed("divergence_head", settings.losses),
    ).to(device)
    used = neighbourhood if is_needed("neighbourhood", settings.losses) else None
    teacher = None if previous is None else previous.build(device)
    if teacher is not None:
        teacher.closed_form = None  # what is distilled are the heads' logits
    records = run_phase(
        train_task,
        student,
        _task_images(images, task_data, device, settings),
        settings,
        teacher=teacher,
        state=state,
        validation=_validation_images(images, samples, device, settings),
        **({k: v.to(device) for k, v in used.items()} if used else {}),
    )
    return _checkpoint(student, settings, samples), history_table(records)


def select_exemplars_node(
    images: Images | EmbeddedImages,
    task_data: pd.DataFrame,
    trained: Checkpoint,
    memory: Parameters,
    evaluation: Parameters,
    seed: int,
    device: str,
    exemplars: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Choose the new classes' exemplars by herding, and shrink the old classes'."""
    config = validated(MemoryConfig, memory, "memory")
    candidates = task_data[~task_data["is_exemplar"]]
    if config.keep == "everything":
        return keep_everything(exemplars, candidates)
    extractor = Extractor.of(trained, evaluation, device)
    model = extractor.model
    features, _ = extractor.extract(images, "train", sample_index(candidates))
    generator = make_generator(seed, model.num_tasks - 1, "selection")
    quota: int | dict[int, int] = config.exemplars_per_class(model.num_classes)
    if config.allocation == "proportional":
        quota = proportional_quotas(config.total or 0, exemplars, candidates)
    chosen = update_memory(
        exemplars, candidates, features, quota, config.selection, generator
    )
    if config.allocation == "proportional":
        return with_class_sizes(chosen, exemplars, candidates)
    return chosen


def finetune_on_memory_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    exemplars: pd.DataFrame,
    trained: Checkpoint,
    finetuning: Parameters,
    training: Parameters,
    losses: Parameters,
    augmentation: Parameters,
    preprocessing: Parameters,
    seed: int,
    state: StateFile | None = None,
) -> tuple[Checkpoint, pd.DataFrame]:
    """Finetune heads, keys and decoder on the balanced memory alone."""
    settings = _settings(training, losses, augmentation, preprocessing, seed)
    device = _home(settings.training)
    model = trained.build(device)
    model.remove_divergence_head()
    records = run_phase(
        finetune_on_memory,
        model,
        _task_images(images, exemplars, device, settings),
        settings,
        finetuning=validated(FinetuningConfig, finetuning, "finetuning"),
        state=state,
        validation=_validation_images(images, samples, device, settings),
    )
    return _checkpoint(model, settings, samples), history_table(records)


def _settings(
    training: Parameters,
    losses: Parameters,
    augmentation: Parameters,
    preprocessing: Parameters,
    seed: int,
) -> LearningSettings:
    return LearningSettings(
        training=validated(TrainingConfig, training, "training"),
        losses=validated(LossesConfig, losses, "losses"),
        augmentation=validated(AugmentationConfig, augmentation, "augmentation"),
        preprocessing=validated(PreprocessingConfig, preprocessing, "preprocessing"),
        seed=seed,
    )


def _home(training: TrainingConfig) -> torch.device:
    """Return where model and images meet; ranks bring them to their devices."""
    return resolve_device("cpu" if training.starts_ranks else training.device)


def _task_images(
    images: Images | EmbeddedImages,
    rows: pd.DataFrame,
    device: torch.device,
    settings: LearningSettings,
    *,
    all_views: bool = True,
) -> TaskImages:
    area = settings.augmentation.random_resized_crop
    chosen = select_images(
        images, "train", sample_index(rows), area, all_views=all_views
    )
    return TaskImages(
        images=chosen.to(device) if isinstance(chosen, Tensor) else chosen,
        targets=targets_of(rows).to(device),
    )


def _validation_images(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    device: torch.device,
    settings: LearningSettings,
) -> TaskImages | None:
    """Select the images to choose the best epoch by, if the settings ask for it."""
    patience = settings.training.patience
    if patience is None:
        return None
    rows = of_split(samples, "validation")
    if rows.empty:
        raise InputError(
            f"training.patience = {patience}: of the classes so far "
            f"({', '.join(class_names(samples))}) there is no validation image"
        )
    return _task_images(images, rows, device, settings, all_views=False)


def _checkpoint(
    model: DAFormer, settings: LearningSettings, samples: pd.DataFrame
) -> Checkpoint:
    return Checkpoint.of(
        model,
        preprocessing=settings.preprocessing,
        class_names=class_names(samples),
    )
