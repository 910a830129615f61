"""Expansion of the model at the start of a task."""

from __future__ import annotations

from daformer_kedro.config import ModelConfig
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint


def expand_model(
    previous: Checkpoint | None,
    config: ModelConfig,
    *,
    image_size: int,
    in_channels: int,
    num_new_classes: int,
    seed: int,
    divergence: bool,
) -> DAFormer:
    """Return a model ready to train its newest task: new, or expanded by that task.

    Args:
        previous: the model after the task before; ``None`` makes a new one.
        config: of a new model; an expanded one keeps its own.
        image_size: side of the images, in pixels.
        in_channels: channels of the images.
        num_new_classes: classes of the task.
        seed: the run's seed.
        divergence: give an expanded model the auxiliary divergence head.
    """
    if previous is None:
        model = DAFormer(
            config,
            image_size=image_size,
            in_channels=in_channels,
            task_sizes=[num_new_classes],
            generator=make_generator(seed, 0, "weights"),
        )
        model.encoder.load_weights()
        return model
    model = previous.build()
    generator = make_generator(seed, model.num_tasks, "weights")
    model.add_task(num_new_classes, generator=generator, divergence=divergence)
    return model
