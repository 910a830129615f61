"""Nodes of a task's pipeline: catalog data in, calls of the library, catalog data out.

Every node takes the sections of the parameters that it reads and no other, so that a
stored result depends on those alone.
"""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from daformer_kedro.config import (
    AugmentationConfig,
    EvaluationConfig,
    FinetuningConfig,
    MemoryConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from daformer_kedro.learning.distributed.launch import run_phase
from daformer_kedro.learning.memory import (
    keep_everything,
    proportional_quotas,
    update_memory,
    with_class_sizes,
)
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import history_table
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.objectives import LossesConfig, is_needed
from daformer_kedro.objectives.neighbourhood import find_neighbours
from daformer_kedro.pipelines.extraction import Extractor
from daformer_kedro.pipelines.task.preparation import (
    checkpoint_of,
    home_device,
    model_of_task,
    task_images,
    validation_images,
)
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import assemble_task_data, sample_index
from daformer_kedro.storage.state_file import StateFile


def assemble_task_data_node(
    samples: pd.DataFrame, exemplars: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Assemble what the task trains on: its own images and the memory's."""
    return assemble_task_data(samples, exemplars)


def find_teacher_neighbours_node(
    images: Images | EmbeddedImages,
    task_data: pd.DataFrame,
    teacher: Checkpoint,
    num_neighbours: int,
    evaluation: EvaluationConfig,
    device: str,
) -> dict[str, Tensor]:
    """Find each sample's nearest neighbours under the model of the task before."""
    extractor = Extractor.of(teacher, evaluation, device)
    features, _ = extractor.extract(images, "train", sample_index(task_data))
    neighbours = find_neighbours(features, num_neighbours)
    return {"features": features, "neighbours": neighbours}


def train_task_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    task_data: pd.DataFrame,
    model: ModelConfig,
    training: TrainingConfig,
    losses: LossesConfig,
    augmentation: AugmentationConfig,
    preprocessing: PreprocessingConfig,
    seed: int,
    previous: Checkpoint | None = None,
    neighbourhood: dict[str, Tensor] | None = None,
    state: StateFile | None = None,
) -> tuple[Checkpoint, pd.DataFrame]:
    """Train the task's keys and head, and what all tasks share, with a teacher."""
    settings = LearningSettings(training, losses, augmentation, preprocessing, seed)
    device = home_device(settings.training)
    divergence = is_needed("divergence_head", settings.losses)
    student = model_of_task(
        previous, model, images, samples, seed, divergence=divergence
    ).to(device)
    used = neighbourhood if is_needed("neighbourhood", settings.losses) else None
    teacher = None if previous is None else previous.build(device)
    if teacher is not None:
        teacher.closed_form = None  # what is distilled are the heads' logits
    records = run_phase(
        train_task,
        student,
        task_images(images, task_data, device, settings),
        settings,
        teacher=teacher,
        state=state,
        validation=validation_images(images, samples, device, settings),
        **({k: v.to(device) for k, v in used.items()} if used else {}),
    )
    return checkpoint_of(student, settings, samples), history_table(records)


def select_exemplars_node(
    images: Images | EmbeddedImages,
    task_data: pd.DataFrame,
    trained: Checkpoint,
    memory: MemoryConfig,
    evaluation: EvaluationConfig,
    seed: int,
    device: str,
    exemplars: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Choose the new classes' exemplars by herding, and shrink the old classes'."""
    candidates = task_data[~task_data["is_exemplar"]]
    if memory.keep == "everything":
        return keep_everything(exemplars, candidates)
    extractor = Extractor.of(trained, evaluation, device)
    model = extractor.model
    features, _ = extractor.extract(images, "train", sample_index(candidates))
    generator = make_generator(seed, model.num_tasks - 1, "selection")
    quota: int | dict[int, int] = memory.exemplars_per_class(model.num_classes)
    if memory.allocation == "proportional":
        quota = proportional_quotas(memory.total or 0, exemplars, candidates)
    chosen = update_memory(
        exemplars, candidates, features, quota, memory.selection, generator
    )
    if memory.allocation == "proportional":
        return with_class_sizes(chosen, exemplars, candidates)
    return chosen


def finetune_on_memory_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    exemplars: pd.DataFrame,
    trained: Checkpoint,
    finetuning: FinetuningConfig,
    training: TrainingConfig,
    losses: LossesConfig,
    augmentation: AugmentationConfig,
    preprocessing: PreprocessingConfig,
    seed: int,
    state: StateFile | None = None,
) -> tuple[Checkpoint, pd.DataFrame]:
    """Finetune heads, keys and decoder on the balanced memory alone."""
    settings = LearningSettings(training, losses, augmentation, preprocessing, seed)
    device = home_device(settings.training)
    model = trained.build(device)
    model.remove_divergence_head()
    records = run_phase(
        finetune_on_memory,
        model,
        task_images(images, exemplars, device, settings),
        settings,
        finetuning=finetuning,
        state=state,
        validation=validation_images(images, samples, device, settings),
    )
    return checkpoint_of(model, settings, samples), history_table(records)
