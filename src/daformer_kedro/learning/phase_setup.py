"""Set-up of a phase: compiled models, sources of chance, augmentation, its end."""

from __future__ import annotations

from dataclasses import replace

import torch

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.augmentation.mixing import Mixing
from daformer_kedro.augmentation.tokens import TokensAsTheyAre
from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.config import TrainingConfig
from daformer_kedro.learning.batches import PhaseBatches
from daformer_kedro.learning.compilation import (
    compile_parts,
    pays_off,
    wants_compilation,
)
from daformer_kedro.learning.devices import autocast
from daformer_kedro.learning.phase import LearningSettings, PhaseConfig, PhaseInputs
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.stopping import Stopping, Validation
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.model import DAFormer
from daformer_kedro.parallel.process_group import ProcessGroup


def make_stopping(
    settings: LearningSettings, validation: TaskImages | None, group: ProcessGroup
) -> Stopping:
    """Make what ends a phase before its last epoch.

    Raises:
        ValueError: ``training.patience`` is set, and there are no validation images.
    """
    training = settings.training
    if training.patience is not None and validation is None:
        raise ValueError(
            f"validation = None: training.patience = {training.patience} needs "
            "validation images"
        )
    return Stopping(
        training.patience,
        training.max_minutes,
        None if validation is None else Validation(validation, settings.preprocessing),
        group,
    )


def accelerate(
    phase: PhaseConfig, model: DAFormer, inputs: PhaseInputs, training: TrainingConfig
) -> bool:
    """Compile where that is wanted and works; return whether the model is compiled."""
    data, batch_size = inputs.data, phase.batch_size // inputs.group.count
    num_steps = phase.epochs * max(1, len(data.targets) // phase.batch_size)
    wanted = wants_compilation(training.compile, data.device)
    if not (wanted and pays_off(num_steps)):
        return False
    context = autocast(data.device, phase.precision)
    if not compile_parts(model, batch_size, context):
        return False
    if inputs.teacher is not None:
        compile_parts(inputs.teacher, batch_size, context, trains=False)
    return True


def phase_generator(
    data: TaskImages, settings: LearningSettings, phase: PhaseConfig
) -> torch.Generator:
    """Make the source of a phase's chance, on the device of its images."""
    return make_generator(settings.seed, phase.task, phase.name, data.device)


def phase_host_generator(
    generator: torch.Generator, settings: LearningSettings, phase: PhaseConfig
) -> torch.Generator:
    """Make the source of what the host must know without asking the device."""
    if generator.device.type == "cpu":
        return generator
    return make_generator(settings.seed, phase.task, f"{phase.name} on the host")


def make_augmentation(
    data: TaskImages, settings: LearningSettings
) -> Augmentation | TokensAsTheyAre:
    """Make what turns the images of a phase into what the model takes."""
    config = settings.augmentation
    if data.is_embedded:
        return TokensAsTheyAre()
    if isinstance(data.images, FileImages):
        # Whoever decodes a file crops it, at its full resolution.
        config = replace(config, random_resized_crop=None)
    return Augmentation(
        config,
        image_size=data.image_size,
        preprocessing=settings.preprocessing,
        device=data.device,
    )


def make_batches(
    phase: PhaseConfig, data: TaskImages, settings: LearningSettings, num_classes: int
) -> PhaseBatches:
    """Make the batches of a phase, with their own sources of chance.

    Args:
        phase: settings.
        data: images and targets.
        settings: of augmentation and of soft targets.
        num_classes: classes of all tasks so far.
    """
    generator = phase_generator(data, settings, phase)
    return PhaseBatches(
        phase,
        data,
        augmentation=make_augmentation(data, settings),
        mixing=Mixing(
            settings.augmentation.mixup_alpha,
            settings.augmentation.cutmix_alpha,
            num_classes=num_classes,
            smoothing=settings.losses.classification.label_smoothing,
        ),
        generator=generator,
        host_generator=phase_host_generator(generator, settings, phase),
    )
