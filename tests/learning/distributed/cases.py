"""Small trainings that one process and two ranks must run to the same numbers.

As a script, ``cases.py FOLDER RANK COUNT`` runs all of them as one rank.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.objectives.knn_distillation import KNNDistillation
from daformer_kedro.objectives.neighbourhood import find_neighbours
from daformer_kedro.objectives.pooled_distillation import PooledDistillation
from daformer_kedro.parallel.process_group import DistributedGroup, ProcessGroup

PREPROCESSING = PreprocessingConfig(mean=(0.3,), std=(0.4,))
NUM_IMAGES = 24
SETTINGS = LearningSettings(
    training=TrainingConfig(
        epochs=3, batch_size=8, learning_rate=0.02, device="cpu", save_every=1
    ),
    losses=LossesConfig(),
    augmentation=AugmentationConfig(
        horizontal_flip=0.5,
        random_erasing=0.3,
        rand_augment="rand-m9-mstd0.5-inc1",
        mixup_alpha=0.8,
    ),
    preprocessing=PREPROCESSING,
    seed=3,
)


def images(num: int = NUM_IMAGES) -> TaskImages:
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 256, (num, 1, 8, 8), generator=generator)
    return TaskImages(levels.to(torch.uint8), torch.arange(num) % 4)


def grown(previous: Checkpoint | None) -> DAFormer:
    config = ModelConfig(
        embed_dim=16, depth=3, num_heads=2, patch_size=2, stochastic_depth=0.2
    )
    return expand_model(
        previous,
        config,
        image_size=8,
        in_channels=1,
        num_new_classes=2,
        seed=3,
        divergence=True,
    )


def first_model() -> Checkpoint:
    return Checkpoint.of(
        grown(None), preprocessing=PREPROCESSING, class_names=("a", "b")
    )


def bank() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(NUM_IMAGES, 16, generator=generator)
    return {"features": features, "neighbours": find_neighbours(features, 3)}


def second_task(
    group: ProcessGroup,
    settings: LearningSettings,
    num: int = NUM_IMAGES,
    **options: Any,
) -> dict[str, Any]:
    before = first_model()
    model = grown(before)
    seen = _batches_seen(model)
    records = train_task(
        model, images(num), settings, teacher=before.build(), group=group, **options
    )
    return _result(model, records, seen)


def with_bank(group: ProcessGroup) -> dict[str, Any]:
    """Neighbours in the whole task data; the gradient is clipped."""
    training = replace(SETTINGS.training, clip_norm=0.1)
    return second_task(group, replace(SETTINGS, training=training), **bank())


def with_batch(group: ProcessGroup) -> dict[str, Any]:
    """Neighbours in the batch, CutMix, pooled distillation, sharpness-aware."""
    losses = LossesConfig(
        pooled_distillation=PooledDistillation(weight=0.5),
        knn_distillation=KNNDistillation(num_neighbours=3, scope="batch"),
    )
    training = replace(SETTINGS.training, sharpness=SharpnessConfig(rho=0.5))
    augmentation = replace(SETTINGS.augmentation, cutmix_alpha=1.0, repeats=2)
    settings = replace(
        SETTINGS, losses=losses, training=training, augmentation=augmentation
    )
    return second_task(group, settings)


def undivided(group: ProcessGroup) -> dict[str, Any]:
    """Seven images, fewer than a batch: no two ranks can share them evenly."""
    return second_task(group, SETTINGS, num=7)


def finetuning(group: ProcessGroup) -> dict[str, Any]:
    """The balanced phase, which has no teacher."""
    model = grown(first_model())
    model.remove_divergence_head()
    seen = _batches_seen(model)
    config = FinetuningConfig(epochs=3, batch_size=8)
    records = finetune_on_memory(model, images(), SETTINGS, config, group=group)
    return _result(model, records, seen)


def stopping(group: ProcessGroup) -> dict[str, Any]:
    """The best of a few epochs, by images that every rank measures."""
    training = replace(SETTINGS.training, patience=1, epochs=5, max_minutes=10)
    settings = replace(SETTINGS, training=training)
    return second_task(group, settings, validation=images(8))


CASES: dict[str, Callable[[ProcessGroup], dict[str, Any]]] = {
    case.__name__: case
    for case in (with_bank, with_batch, undivided, finetuning, stopping)
}


def _batches_seen(model: DAFormer) -> list[int]:
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    return seen


def _result(
    model: DAFormer, records: list[EpochRecord], seen: list[int]
) -> dict[str, Any]:
    return {
        "weights": model.state_dict(),
        "losses": [record.losses for record in records],
        "accuracies": [record.train_accuracy for record in records],
        "num_images": [record.num_images for record in records],
        "batches_seen": seen,
    }


def main() -> None:
    folder, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    results = {name: case(DistributedGroup()) for name, case in CASES.items()}
    # Weights that differ must be noticed; rank 1 changes one of its own.
    model = grown(None)
    if rank == 1:
        next(model.parameters()).data.view(-1)[0] += 1e-3
    try:
        DistributedGroup().check_agreement(model)
    except RuntimeError as error:
        results["disagreement"] = {"error": str(error)}
    torch.save(results, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
