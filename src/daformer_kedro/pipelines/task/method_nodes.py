"""Nodes in which a method's own way takes the place of DAFormer's.

There for methods that bring one. Their results depend on the code of the method that
``baseline`` names, and on no other method's.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.config import (
    AugmentationConfig,
    EvaluationConfig,
    MemoryConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from daformer_kedro.errors import InputError
from daformer_kedro.learning.candidates import Candidates
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import history_table
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.task import LearningTask
from daformer_kedro.methods import METHODS
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.objectives import LossesConfig, is_needed
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.pipelines.task.preparation import (
    checkpoint_of,
    home_device,
    model_of_task,
    task_images,
    validation_images,
)
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import sample_index
from daformer_kedro.storage.state_file import StateFile


def learn_by_method_node(
    images: Images | EmbeddedImages,
    samples: pd.DataFrame,
    task_data: pd.DataFrame,
    model: ModelConfig,
    baseline: str,
    baseline_settings: dict[str, Any],
    training: TrainingConfig,
    losses: LossesConfig,
    augmentation: AugmentationConfig,
    preprocessing: PreprocessingConfig,
    seed: int,
    previous: Checkpoint | None = None,
    neighbourhood: dict[str, Tensor] | None = None,
    carried: dict[str, Tensor] | None = None,
    state: StateFile | None = None,
) -> tuple[Any, ...]:
    """Learn the task in the method's own way.

    Returns:
        The checkpoint, the history and, where the method carries any, the tensors for
        the next task.
    """
    settings = LearningSettings(training, losses, augmentation, preprocessing, seed)
    device = home_device(settings.training)
    divergence = is_needed("divergence_head", settings.losses)
    student = model_of_task(
        previous, model, images, samples, seed, divergence=divergence
    ).to(device)
    teacher = None if previous is None else previous.build(device)
    if teacher is not None:
        teacher.closed_form = None
    used = neighbourhood if is_needed("neighbourhood", settings.losses) else None
    task = LearningTask(
        student,
        teacher,
        task_images(images, task_data, device, settings),
        torch.from_numpy(task_data["is_exemplar"].to_numpy(copy=True)).to(device),
        settings,
        neighbourhood={
            name: tensor.to(device) for name, tensor in (used or {}).items()
        },
        validation=validation_images(images, samples, device, settings),
        before=carried,
        state=state,
    )
    method = METHODS[baseline](baseline_settings)
    given = method.learn(task)
    if not task.history:
        raise InputError(
            f"baseline = {baseline} learnt task {task.number} in no epoch: its learn "
            "must call task.train() or go through task.epochs()"
        )
    made = checkpoint_of(student, settings, samples), history_table(task.history)
    return (*made, dict(given or {})) if method.carries else made


def choose_by_method_node(
    images: Images | EmbeddedImages,
    task_data: pd.DataFrame,
    trained: Checkpoint,
    baseline: str,
    baseline_settings: dict[str, Any],
    memory: MemoryConfig,
    evaluation: EvaluationConfig,
    seed: int,
    device: str,
    exemplars: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Choose the memory in the method's own way."""
    new = task_data[~task_data["is_exemplar"]]
    extractor = Extractor.of(trained, evaluation, device)
    features, logits = extractor.extract(images, "train", sample_index(new))
    num_classes, num_tasks = extractor.model.num_classes, extractor.model.num_tasks
    candidates = Candidates(
        exemplars,
        new[["sample_index", "target"]].reset_index(drop=True),
        features,
        logits,
        quota=memory.exemplars_per_class(num_classes),
        num_classes=num_classes,
        generator=make_generator(seed, num_tasks - 1, "selection"),
    )
    chosen = METHODS[baseline](baseline_settings).choose(candidates)
    return candidates.checked(chosen, baseline)


def finish_task_node(
    images: Images | EmbeddedImages,
    exemplars: pd.DataFrame,
    learned: Checkpoint,
    baseline: str,
    baseline_settings: dict[str, Any],
    evaluation: EvaluationConfig,
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
