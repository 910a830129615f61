"""Attention of the decoder as maps over the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.model.blocks import DualAttentionDecoder
from daformer_kedro.model.daformer import DAFormer


@dataclass(frozen=True)
class AttentionMaps:
    """Share of attention that each patch gets; every map sums to 1.

    Means over heads and query patches, so that one map stands for one image.

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
    decoder = model.decoder
    if not isinstance(decoder, DualAttentionDecoder):
        raise InputError(
            f"model.decoder = {model.config.decoder!r} has no dual attention to show: "
            "must be 'dual_attention'"
        )
    blocks = model(images, return_blocks=True).blocks
    assert blocks  # a model has at least one encoder block
    external, internal = decoder.attn.attention_weights(decoder.norm1(blocks[-1]))
    return AttentionMaps(_as_maps(external), _as_maps(internal))


def _as_maps(weights: Tensor | None) -> Tensor | None:
    """Weights (T, B, H, N, N) as maps (B, T, h, w)."""
    if weights is None:
        return None
    side = math.isqrt(weights.shape[-1])
    shares = weights.mean(dim=(2, 3)).transpose(0, 1)  # (B, T, N)
    return shares.unflatten(-1, (side, side))
