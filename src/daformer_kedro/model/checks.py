"""Checks of a model's settings and sizes, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.decoders import decoder_class
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.validation import validated


def check_model(config: ModelConfig, image_size: int, *, new: bool = True) -> None:
    """Find out whether a model can be made, before any image is read.

    Args:
        config: the ``model`` section of the parameters.
        image_size: side of the square images, in pixels.
        new: whether pretrained weights must be there, as for a model that is to be
            trained; not for one that is built from a checkpoint.

    Raises:
        InputError: it cannot; names the setting, its value and what is allowed.
    """
    decoder_class(config.decoder).check(config)
    encoder = encoder_class(config.encoder)
    validated(encoder.Settings, config.encoder_settings, "model.encoder_settings")
    encoder.check(config, image_size)
    if new:
        encoder.check_weights(config)
    if round(config.embed_dim * config.mlp_ratio) < 1:
        raise InputError(
            f"model.mlp_ratio = {config.mlp_ratio} must be at least 1 / "
            f"model.embed_dim = 1 / {config.embed_dim}"
        )


def check_earlier_blocks(config: ModelConfig, terms: Sequence[str]) -> None:
    """Make sure that the encoder returns more than its last block's output.

    Args:
        config: the ``model`` section of the parameters.
        terms: names of the terms of the loss that compare the blocks before the last.

    Raises:
        InputError: there are such terms and no such blocks.
    """
    if terms and encoder_class(config.encoder).num_earlier_blocks(config) < 1:
        raise InputError(
            f"losses.{terms[0]} compares the outputs of encoder blocks before the "
            f"last, and model.encoder = {config.encoder} with model.depth = "
            f"{config.depth} returns none; allowed: gated_attention with a depth of "
            f"at least 3, or losses.{terms[0]}.weight = 0"
        )


def check_sizes(in_channels: int, task_sizes: Sequence[int]) -> None:
    """Make sure that there are channels, tasks, and classes in each.

    Raises:
        InputError: one of them is missing.
    """
    if in_channels < 1:
        raise InputError(f"in_channels = {in_channels} must be at least 1")
    if not task_sizes:
        raise InputError("task_sizes = [] must hold at least one task")
    for size in task_sizes:
        check_task_size(size)


def check_task_size(num_classes: int) -> None:
    """Make sure that a task has a class.

    Raises:
        InputError: it has none.
    """
    if num_classes < 1:
        raise InputError(
            f"num_classes = {num_classes}: a task must have at least 1 class"
        )


def check_images(images: Tensor, in_channels: int, image_size: int) -> None:
    """Make sure that images have the shape that a model was made for.

    Args:
        images: (B, in_channels, image_size, image_size), or tokens (B, N, W).
        in_channels: channels that the model reads.
        image_size: side of its images, in pixels.

    Raises:
        ValueError: they have another one.
    """
    expected = (in_channels, image_size, image_size)
    if images.ndim == 4 and images.shape[1:] != expected:
        raise ValueError(
            f"images of shape {tuple(images.shape)}: "
            f"(B, {', '.join(map(str, expected))}) is expected"
        )
