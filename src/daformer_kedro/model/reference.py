"""Weights of the released DAFormer code, under this package's names."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.daformer import DAFormer

# The released decoder declares an output projection and never applies it.
_UNUSED = re.compile(r"duals\.0\.attn\.proj\.")

_RENAMINGS = (
    (re.compile(r"^pos_embed$"), "encoder.pos_embed"),
    (re.compile(r"^patch_embed\.proj\."), "encoder.patch_embed."),
    (re.compile(r"^sabs\."), "encoder.blocks."),
    (re.compile(r"^duals\.0\.attn\.to_q\."), "decoder.attn.query."),
    (re.compile(r"^duals\.0\.attn\.to_v\."), "decoder.attn.value."),
    (re.compile(r"^duals\.0\.attn\.to_k\.weight$"), "decoder.attn.external_maps.0"),
    (re.compile(r"^duals\.0\."), "decoder."),
    (re.compile(r"^keys\.(\d+)\.weight$"), r"decoder.attn.internal_keys.\1"),
    (re.compile(r"^keys\.(\d+)\.bias$"), r"decoder.attn.internal_biases.\1"),
    (re.compile(r"^head\.(\d+)\.norm\."), r"heads.\1.norm."),
    (re.compile(r"^head\.(\d+)\.head\."), r"heads.\1.linear."),
    (re.compile(r"^head_div\.norm\."), "divergence_head.norm."),
    (re.compile(r"^head_div\.head\."), "divergence_head.linear."),
)


def own_name(reference_name: str) -> str | None:
    """This package's name of a weight of the released code.

    Args:
        reference_name: such as ``duals.0.attn.to_q.weight``.

    Returns:
        Such as ``decoder.attn.query.weight``; ``None`` for weights that the released
        code declares and never uses.
    """
    if _UNUSED.match(reference_name):
        return None
    for pattern, replacement in _RENAMINGS:
        renamed, num_changes = pattern.subn(replacement, reference_name)
        if num_changes:
            return renamed
    return reference_name


def own_state_dict(
    reference_state: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Rename weights of the released code, or tensors of their shapes.

    Keys (N, d, 1, 1) lose their last two axes; unused weights are left out.
    """
    renamed = {}
    for reference_name, value in reference_state.items():
        name = own_name(reference_name)
        if name is not None:
            is_key = name.startswith("decoder.attn.internal_keys.")
            renamed[name] = value.flatten(1) if is_key else value
    return renamed


def from_reference_state_dict(
    state_dict: Mapping[str, torch.Tensor],
    *,
    image_size: int | None = None,
    patch_size: int | None = None,
    num_heads: int | None = None,
) -> DAFormer:
    """Make a DAFormer-S with weights of the released code.

    The sizes are read from the weights; those that are given are compared with them.
    A divergence head is kept where there is one.

    Args:
        state_dict: the released code's names and tensors.
        image_size: side of the images, in pixels.
        patch_size: side of a patch, in pixels.
        num_heads: attention heads.

    Raises:
        InputError: weights are missing, left over or of the wrong shape, or a given
            size differs from the weights'.
    """
    try:
        model = _empty_model(state_dict)
    except KeyError as error:
        raise InputError(
            f"the weights are not those of the released DAFormer code: {error} is "
            "missing"
        ) from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"the weights do not have the released DAFormer's shapes: {error}"
        ) from error
    given = {
        "image_size": (image_size, model.image_size),
        "model.patch_size": (patch_size, model.config.patch_size),
        "model.num_heads": (num_heads, model.config.num_heads),
    }
    for name, (value, found) in given.items():
        if value is not None and value != found:
            raise InputError(f"{name} = {value}, but the weights are made for {found}")
    try:
        model.load_state_dict(own_state_dict(state_dict))
    except RuntimeError as error:
        raise InputError(
            f"the weights do not fit the released DAFormer: {error}"
        ) from error
    return model


def load_reference_checkpoint(
    path: str | Path,
    *,
    image_size: int | None = None,
    patch_size: int | None = None,
    num_heads: int | None = None,
) -> DAFormer:
    """Read a ``checkpoint_N.pth`` of the released code.

    Nothing in the file is executed: it is read with ``weights_only=True``.

    Args:
        path: the file, a dictionary with the weights under ``model``.
        image_size: as in :func:`from_reference_state_dict`.
        patch_size: as in :func:`from_reference_state_dict`.
        num_heads: as in :func:`from_reference_state_dict`.

    Raises:
        InputError: the file is missing, damaged or something else.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged bytes make the unpickler raise almost anything.
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint (a file that torch.save wrote, "
            f"with tensors and plain values alone): {error}"
        ) from error
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in weights.items()
    ):
        raise InputError(
            f"{path} is not a checkpoint of the released DAFormer code: a dictionary "
            "with named tensors under 'model' is expected"
        )
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    try:
        return from_reference_state_dict(
            weights, image_size=image_size, patch_size=patch_size, num_heads=num_heads
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _empty_model(state: Mapping[str, torch.Tensor]) -> DAFormer:
    """A model of the sizes that the weights have."""
    patch_weight = state["patch_embed.proj.weight"]
    embed_dim, in_channels, patch_size, _ = patch_weight.shape
    grid_size = math.isqrt(state["pos_embed"].shape[1])
    num_blocks = _count(state, "sabs.{}.norm1.weight")
    hidden = state["duals.0.mlp.fc1.weight"].shape[0]
    num_tasks = _count(state, "head.{}.head.weight")
    config = ModelConfig(
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=num_blocks + 1,
        num_heads=len(state["sabs.0.attn.gating_param"]),
        mlp_ratio=hidden / embed_dim,
    )
    return DAFormer(
        config,
        image_size=grid_size * patch_size,
        in_channels=in_channels,
        task_sizes=[
            len(state[f"head.{task}.head.weight"]) for task in range(num_tasks)
        ],
        divergence="head_div.head.weight" in state,
    )


def _count(state: Mapping[str, torch.Tensor], name: str) -> int:
    count = 0
    while name.format(count) in state:
        count += 1
    return count
