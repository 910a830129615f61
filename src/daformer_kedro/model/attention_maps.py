"""Attention of the decoder as maps over the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.model.daformer import DAFormer


@dataclass(frozen=True)
class AttentionMaps:
    """Share of attention that each patch gets; every map sums to 1.

    Means over heads and query patches, so that there is one map per image.

    Attributes:
        external: (B, 1, h, w) in edition S and (B, T, h, w) in edition M; ``None``
            where the model has no external attention.
        internal: (B, T, h, w); ``None`` where it has no internal attention.
    """

    external: Tensor | None
    internal: Tensor | None


@torch.inference_mode()
def attention_maps(model: DAFormer, images: Tensor) -> AttentionMaps:
    """Run images through the model and keep the weights of its dual attention.

    Args:
        model: in evaluation mode.
        images: (B, C, H, W), normalised, on the model's device.

    Raises:
        InputError: the model's decoder has no dual attention.
    """
    weights = model.decoder.attention_weights(model.encoder(images)[-1])
    if weights is None:
        raise InputError(
            f"model.decoder = {model.config.decoder!r} has no dual attention to show: "
            "must be 'dual_attention'"
        )
    external, internal = (_as_maps(part, model.encoder.grid) for part in weights)
    return AttentionMaps(external, internal)


def _as_maps(weights: Tensor | None, grid: tuple[int, int]) -> Tensor | None:
    """Weights (T, B, H, N, N) as maps (B, T, h, w)."""
    if weights is None:
        return None
    shares = weights.mean(dim=(2, 3)).transpose(0, 1)  # (B, T, N)
    return shares.unflatten(-1, grid)
