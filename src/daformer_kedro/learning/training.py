"""The two phases of learning a task: training with a teacher, balanced finetuning."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from daformer_kedro.config import FinetuningConfig, SharpnessConfig, TrainingConfig
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.compilation import counted_compilations
from daformer_kedro.learning.devices import resolve_precision, rounding_to_tf32
from daformer_kedro.learning.graph import wants_graph
from daformer_kedro.learning.optimisation import (
    ConstantSchedule,
    make_optimiser,
    make_schedule,
    scaled_learning_rate,
)
from daformer_kedro.learning.phase import LearningSettings, PhaseConfig, PhaseInputs
from daformer_kedro.learning.phase_setup import (
    accelerate,
    make_batches,
    make_stopping,
)
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.saving import SaveInterval
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.trainer import Trainer
from daformer_kedro.model import DAFormer
from daformer_kedro.model.freezing import freeze_for_finetuning, freeze_for_training
from daformer_kedro.objectives import (
    Need,
    Neighbourhood,
    Objective,
    terms_in_need,
    terms_of,
)
from daformer_kedro.parallel.process_group import SINGLE_PROCESS, ProcessGroup
from daformer_kedro.storage.state_file import StateFile


def train_task(
    model: DAFormer,
    data: TaskImages,
    settings: LearningSettings,
    *,
    teacher: DAFormer | None = None,
    features: Tensor | None = None,
    neighbours: Tensor | None = None,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    validation: TaskImages | None = None,
) -> list[EpochRecord]:
    """Train the newest task of ``model`` in place.

    Args:
        model: already grown for the task, on the device to use.
        data: the new classes' images and the rehearsal memory's, on that device.
        settings: see :class:`LearningSettings`.
        teacher: the model before the task; ``None`` in the first.
        features: (N, E) of the un-augmented data under the teacher.
        neighbours: (N, K) among them; needed for KNN distillation over the data set.
        state: file to resume from, and to save to while the training continues.
        group: the processes that train the model together.
        validation: images to choose the best epoch by, for ``training.patience``.

    Returns:
        One record per epoch.
    """
    training, losses = settings.training, settings.losses
    task = model.num_tasks - 1
    first = task == 0
    freeze_for_training(model, freeze_old_tasks=training.freeze_old_tasks)
    epochs = (first and training.initial_epochs) or training.epochs
    sharp = training.sharpness
    phase = PhaseConfig(
        task=task,
        name="train",
        epochs=epochs,
        batch_size=training.batch_size,
        repeats=settings.augmentation.repeats,
        class_balance=training.class_balance,
        sharpness=SharpnessConfig() if first and not sharp.first_task else sharp,
        clip_norm=training.clip_norm,
        precision=_precision(training, model, data.device),
        as_graph=wants_graph(training.graph, data.device, group.count),
    )
    neighbourhood = None
    if features is not None and neighbours is not None:
        neighbourhood = {"features": features, "neighbours": neighbours}
    objective = _training_objective(model, teacher, losses, neighbourhood)
    return _fit(
        phase,
        model,
        PhaseInputs(data, teacher, validation, state, group),
        settings,
        objective=objective,
        learning_rate=training.learning_rate,
        follows_schedule=True,
    )


def _training_objective(
    model: DAFormer,
    teacher: DAFormer | None,
    losses: LossesConfig,
    neighbourhood: Neighbourhood | None,
) -> Objective:
    """Return the terms that the settings ask for and that the task can have."""
    available: set[Need] = set()
    if teacher is not None:
        available |= {"teacher", "blocks"}
    if model.divergence_head is not None:
        available.add("divergence_head")
    if neighbourhood is not None:
        available.add("neighbourhood")
    elif teacher is not None and (terms := terms_in_need("neighbourhood", losses)):
        raise ValueError(
            f"features and neighbours = None: losses.{terms[0]} needs the teacher's "
            "neighbours of the task data"
        )
    return Objective(terms_of(losses), frozenset(available), neighbourhood)


def finetune_on_memory(
    model: DAFormer,
    data: TaskImages,
    settings: LearningSettings,
    finetuning: FinetuningConfig,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    validation: TaskImages | None = None,
) -> list[EpochRecord]:
    """Balanced finetuning in place: heads, keys and decoder, on the memory alone.

    Against the bias towards the newest classes (Castro et al., ECCV 2018). No teacher,
    no divergence head, no sharpness-aware minimisation, no repeated augmentation (an
    epoch sees each exemplar once), a constant learning rate.

    Args:
        model: after :func:`train_task`, on the device to use.
        data: the rehearsal memory, which holds the new classes too.
        settings: see :class:`LearningSettings`.
        finetuning: epochs, batch size and learning rate.
        state: file to resume from, and to save to while the training continues.
        group: the processes that train the model together.
        validation: as in :func:`train_task`.

    Returns:
        One record per epoch.
    """
    training = settings.training
    freeze_for_finetuning(model)
    phase = PhaseConfig(
        task=model.num_tasks - 1,
        name="finetune",
        epochs=finetuning.epochs,
        batch_size=finetuning.batch_size,
        class_balance=training.class_balance,
        clip_norm=training.clip_norm,
        precision=_precision(training, model, data.device),
        as_graph=wants_graph(training.graph, data.device, group.count),
    )
    return _fit(
        phase,
        model,
        PhaseInputs(data, validation=validation, state=state, group=group),
        settings,
        objective=Objective(terms_of(settings.losses)),
        learning_rate=finetuning.learning_rate,
        follows_schedule=False,
    )


def _precision(
    training: TrainingConfig, model: DAFormer, device: torch.device
) -> torch.dtype:
    return resolve_precision(training.precision, device, model.config.embed_dim)


def _fit(
    phase: PhaseConfig,
    model: DAFormer,
    inputs: PhaseInputs,
    settings: LearningSettings,
    *,
    objective: Objective,
    learning_rate: float,
    follows_schedule: bool,
) -> list[EpochRecord]:
    """Run a phase: make the optimiser and all that draws at random, and train."""
    training = settings.training
    # The compiler counts how products are rounded among the kinds of input.
    rounding = partial(rounding_to_tf32, training.precision == "tf32")
    with rounding():
        is_compiled = accelerate(phase, model, inputs, training)
    optimiser = make_optimiser(
        model.parameters(),
        scaled_learning_rate(learning_rate, phase.batch_size),
        training.weight_decay,
        model.encoder.learning_rate_scales(),
    )
    trainer = Trainer(
        phase,
        model,
        inputs,
        batches=make_batches(phase, inputs.data, settings, model.num_classes),
        objective=objective,
        schedule=make_schedule(optimiser, training, phase.epochs)
        if follows_schedule
        else ConstantSchedule(optimiser),
        stopping=make_stopping(settings, inputs.validation, inputs.group),
    )
    interval = SaveInterval(training.save_every, training.save_minutes)
    name = f"task {phase.task}, {phase.name}"
    counted = counted_compilations(name) if is_compiled else nullcontext()
    with counted, rounding():
        return trainer.run(interval)
