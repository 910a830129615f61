"""Gated positional self-attention (GPSA) of the encoder.

d'Ascoli et al., "ConViT: Improving Vision Transformers with Soft Convolutional
Inductive Biases", ICML 2021.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.model.initialisation import linear


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
    """Position weights with which each head looks at one neighbouring patch.

    ConViT, section 3: the heads form a √H × √H grid of offsets. Where H is no square
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
