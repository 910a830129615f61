"""The published encoder: patches, then blocks of gated positional self-attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.attention_heads import check_heads
from daformer_kedro.model.computing import KeptWeights, by_hand, compute_type
from daformer_kedro.model.encoders.encoder import Encoder
from daformer_kedro.model.encoders.gated_block import (
    BlockWeights,
    EncoderBlock,
    block_weights,
)
from daformer_kedro.model.initialisation import truncated_normal
from daformer_kedro.model.patch_embedding import PatchEmbedding


def relative_offsets(grid_size: int) -> torch.Tensor:
    """Offsets (δx, δy, δx² + δy²) from each query patch to each key patch.

    Args:
        grid_size: patches along one side of the image.

    Returns:
        (N, N, 3) with N = grid_size², first axis query, second axis key.
    """
    steps = torch.arange(grid_size, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack((x.flatten(), y.flatten()), dim=-1)
    offsets = places[None, :] - places[:, None]
    return torch.cat((offsets, offsets.square().sum(-1, keepdim=True)), dim=-1)


class GatedAttentionEncoder(Encoder):
    """Linear map of patches, learned positions, ``model.depth`` - 1 blocks.

    Reads ``model.patch_size``, ``depth``, ``num_heads``, ``mlp_ratio`` and
    ``locality_strength``.
    """

    offsets: torch.Tensor

    def __init__(
        self,
        config: ModelConfig,
        *,
        image_size: int,
        in_channels: int,
        generator: torch.Generator,
    ) -> None:
        width, side = config.embed_dim, image_size // config.patch_size
        super().__init__(
            config, image_size=image_size, in_channels=in_channels, generator=generator
        )
        self.grid = (side, side)
        self.patch_embed = PatchEmbedding(
            in_channels, width, config.patch_size, generator=generator
        )
        self.pos_embed = nn.Parameter(
            truncated_normal(1, self.num_tokens, width, generator=generator)
        )
        self.blocks = nn.ModuleList(
            EncoderBlock(
                width,
                config.num_heads,
                config.mlp_ratio,
                locality_strength=config.locality_strength,
                generator=generator,
            )
            for _ in range(config.depth - 1)
        )
        self.register_buffer("offsets", relative_offsets(side), persistent=False)
        self._kept: KeptWeights[tuple[list[BlockWeights], Sequence[torch.Tensor]]] = (
            KeptWeights()
        )

    @classmethod
    def check(cls, config: ModelConfig, image_size: int) -> None:
        """Make sure that patches divide the image, and heads the width."""
        check_heads(config)
        patch = config.patch_size
        if image_size % patch:
            divisors = [n for n in range(1, image_size + 1) if image_size % n == 0]
            raise InputError(
                f"model.patch_size = {patch} does not divide the images' side, "
                f"{image_size} pixels; allowed: {', '.join(map(str, divisors))}"
            )

    @classmethod
    def num_earlier_blocks(cls, config: ModelConfig) -> int:
        """Return the number of blocks but the last, whose output is the encoder's."""
        return config.depth - 2

    @property
    def num_blocks(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    def repeated_modules(self) -> list[nn.Module]:
        """Return the blocks: the same code on the same shapes."""
        return list(self.blocks)

    def forward(
        self, images: torch.Tensor, keep: Sequence[torch.Tensor | None] | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Return the tokens after each block, (B, N, D) each.

        Args:
            images: (B, C, S, S), normalised.
            keep: for each block (2, B) factors of its residuals, or ``None``.
        """
        dtype = compute_type(images)
        with by_hand(images):
            weights, (weight, bias, positions) = self._kept.get(
                self, dtype, lambda: self._prepared(dtype)
            )
            x = self.patch_embed(images, weight, bias) + positions
            outputs = []
            for block, own, factors in zip(
                self.blocks, weights, keep or [None] * self.num_blocks, strict=True
            ):
                x = block(x, own, factors)
                outputs.append(x)
        return tuple(outputs)

    def _prepared(
        self, dtype: torch.dtype
    ) -> tuple[list[BlockWeights], Sequence[torch.Tensor]]:
        """Weights of all blocks; those of the patches, and the positions."""
        patches, blocks = self.patch_embed, cast(list[EncoderBlock], [*self.blocks])
        others = (patches.weight, patches.bias, self.pos_embed)
        return block_weights(blocks, self.offsets, dtype, others)
