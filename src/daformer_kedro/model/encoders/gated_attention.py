"""The published encoder: patches, then blocks of gated positional self-attention.

d'Ascoli et al., "ConViT: Improving Vision Transformers with Soft Convolutional
Inductive Biases", ICML 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders.encoder import Encoder
from daformer_kedro.model.initialisation import (
    linear,
    patch_convolution,
    truncated_normal,
)
from daformer_kedro.model.mlp import MLP


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


def locality_weights(num_heads: int, strength: float) -> torch.Tensor:
    """Position weights with which each head attends to one neighbouring patch.

    ConViT, section 3: the heads form a √H × √H grid of offsets. Where H is not a square
    the grid has ⌊√H⌋ heads a side and the remaining heads are left out.

    Returns:
        (⌊√H⌋², 3), for the offsets (δx, δy, δx² + δy²).
    """
    side = math.isqrt(num_heads)
    centre = (side - 1) / 2 if side % 2 == 0 else side // 2
    shifts = 2 * (torch.arange(side, dtype=torch.float32) - centre)
    towards_x = shifts.repeat_interleave(side)
    towards_y = shifts.repeat(side)
    weights = torch.stack((towards_x, towards_y, -torch.ones(side**2)), dim=-1)
    return weights * strength


class GatedPositionalAttention(nn.Module):
    """Each head blends attention by content with attention by position.

    A_h = (1 - σ(g_h)) softmax(q kᵀ / √d) + σ(g_h) softmax(w_hᵀ r), with r the
    relative offsets. Applied to the values one after the other, since the blend is
    linear in them: content runs in the fused kernel, and position needs one matrix
    a head whatever the number of images.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        locality_strength: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qk = linear(embed_dim, 2 * embed_dim, bias=False, generator=generator)
        self.v = linear(embed_dim, embed_dim, bias=False, generator=generator)
        self.proj = linear(embed_dim, embed_dim, generator=generator)
        self.pos_proj = linear(3, num_heads, generator=generator)
        self.gating_param = nn.Parameter(torch.ones(num_heads))
        local = locality_weights(num_heads, locality_strength)
        with torch.no_grad():
            nn.init.eye_(self.v.weight)
            self.pos_proj.weight[: len(local)].copy_(local)

    def forward(self, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Attend within each image.

        Args:
            x: (B, N, D) normalised tokens.
            offsets: (N, N, 3) from :func:`relative_offsets`.

        Returns:
            (B, N, D).
        """
        split = (self.num_heads, -1)
        query, key = self.qk(x).unflatten(-1, (2, *split)).permute(2, 0, 3, 1, 4)
        value = self.v(x).unflatten(-1, split).transpose(1, 2)
        gate = self.gating_param.sigmoid()[:, None, None]
        position = gate * self.pos_proj(offsets).permute(2, 0, 1).softmax(dim=-1)
        content = F.scaled_dot_product_attention(query, key, value)
        mixed = (1 - gate) * content + torch.einsum("hnm,bhmd->bhnd", position, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """Pre-norm block of gated positional self-attention and MLP."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_ratio: float,
        *,
        locality_strength: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim)
        self.attn = GatedPositionalAttention(
            embed_dim,
            num_heads,
            locality_strength=locality_strength,
            generator=generator,
        )
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = MLP(embed_dim, mlp_ratio, generator=generator)

    def forward(
        self,
        x: torch.Tensor,
        offsets: torch.Tensor,
        keep: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Apply the block.

        Args:
            x: (B, N, D) tokens.
            offsets: (N, N, 3) relative offsets of the patches.
            keep: (2, B) factors of the attention's and the MLP's residual, or
                ``None`` for no stochastic depth.

        Returns:
            (B, N, D).
        """
        attended = self.attn(self.norm1(x), offsets)
        if keep is None:
            x = x + attended
            return x + self.mlp(self.norm2(x))
        keep = keep[:, :, None, None]
        x = x + keep[0] * attended
        return x + keep[1] * self.mlp(self.norm2(x))


class GatedAttentionEncoder(Encoder):
    """Convolution of patches, learned positions, ``model.depth`` - 1 blocks.

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
        self.patch_embed = patch_convolution(
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

    @classmethod
    def check(cls, config: ModelConfig, image_size: int) -> None:
        """Make sure that patches divide the image, and that MLPs have a unit."""
        patch = config.patch_size
        if image_size % patch:
            divisors = [n for n in range(1, image_size + 1) if image_size % n == 0]
            raise InputError(
                f"model.patch_size = {patch} does not divide the images' side, "
                f"{image_size} pixels; allowed: {', '.join(map(str, divisors))}"
            )

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
        x = self.patch_embed(images).flatten(2).transpose(1, 2) + self.pos_embed
        outputs = []
        for block, factors in zip(
            self.blocks, keep or [None] * self.num_blocks, strict=True
        ):
            x = block(x, self.offsets, factors)
            outputs.append(x)
        return tuple(outputs)
