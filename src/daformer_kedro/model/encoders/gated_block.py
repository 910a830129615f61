"""A block of gated positional self-attention, and its weights in a pass.

d'Ascoli et al., "ConViT: Improving Vision Transformers with Soft Convolutional
Inductive Biases", ICML 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daformer_kedro.model.computing import add_residual, cast_together
from daformer_kedro.model.initialisation import linear
from daformer_kedro.model.mlp import MLP

# From 17 on σ(g) is 1 in float32, and σ(-g) next to nothing; beyond 88 the odds would
# overflow.
_LARGEST_GATE = 60.0


def locality_weights(num_heads: int, strength: float) -> Tensor:
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


class BlockWeights(NamedTuple):
    """Weights of a block as one pass computes with them.

    Attributes:
        position: (H, N, N) attention by position, times σ(g) / (1 - σ(g)).
        qkv: (3 · D, D) map to queries, keys and values.
        proj: (D, D) map that follows the attention, times 1 - σ(g).
        proj_bias: (D,).
        norm1: (D,), scale of the first normalisation.
        norm1_bias: (D,), its shift.
        norm2: (D,), scale of the second one.
        norm2_bias: (D,).
        fc1: (hidden, D), first map of the MLP.
        fc1_bias: (hidden,).
        fc2: (D, hidden), second map.
        fc2_bias: (D,).
    """

    position: Tensor
    qkv: Tensor
    proj: Tensor
    proj_bias: Tensor
    norm1: Tensor
    norm1_bias: Tensor
    norm2: Tensor
    norm2_bias: Tensor
    fc1: Tensor
    fc1_bias: Tensor
    fc2: Tensor
    fc2_bias: Tensor


class GatedPositionalAttention(nn.Module):
    """Each head blends attention by content with attention by position.

    A_h = (1 - σ(g_h)) softmax(q kᵀ / √d) + σ(g_h) softmax(w_hᵀ r), with r the
    relative offsets. Applied to the values one after the other, since the blend is
    linear in them: content runs in the fused kernel, and position needs one matrix
    a head whatever the number of images. The factor of the content is moved behind the
    sum, into the map that follows.
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

    def forward(self, x: Tensor, weights: BlockWeights) -> Tensor:
        """Attend within each image.

        Args:
            x: (B, N, D) normalised tokens, of the weights' type.
            weights: from :func:`block_weights`.

        Returns:
            (B, N, D).
        """
        qkv = F.linear(x, weights.qkv).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.unbind(2)  # (B, N, H, d) each
        content = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        values = value.permute(2, 1, 0, 3)  # (H, N, B, d)
        position = torch.bmm(weights.position, values.flatten(2)).view(values.shape)
        mixed = content.transpose(1, 2) + position.permute(2, 1, 0, 3)
        return F.linear(mixed.flatten(2), weights.proj, weights.proj_bias)


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
        self, x: Tensor, weights: BlockWeights, keep: Tensor | None = None
    ) -> Tensor:
        """Apply the block.

        Args:
            x: (B, N, D) tokens, of the weights' type.
            weights: from :func:`block_weights`.
            keep: (2, B) factors of the attention's and the MLP's residual, or
                ``None`` for no stochastic depth.

        Returns:
            (B, N, D).
        """
        of_attention, of_mlp = (
            (None, None) if keep is None else keep[:, :, None, None].unbind()
        )
        w, width, eps = weights, x.shape[-1:], self.norm1.eps
        normalised = F.layer_norm(x, width, w.norm1, w.norm1_bias, eps)
        x = add_residual(x, self.attn(normalised, w), of_attention)
        normalised = F.layer_norm(x, width, w.norm2, w.norm2_bias, eps)
        hidden = F.gelu(F.linear(normalised, w.fc1, w.fc1_bias))
        return add_residual(x, F.linear(hidden, w.fc2, w.fc2_bias), of_mlp)


def block_weights(
    blocks: Sequence[EncoderBlock],
    offsets: Tensor,
    dtype: torch.dtype,
    others: Sequence[Tensor] = (),
) -> tuple[list[BlockWeights], Sequence[Tensor]]:
    """Prepare the weights of all blocks together, each kind by one operation.

    Args:
        blocks: of one shape, at least one.
        offsets: (N, N, 3) relative offsets of the patches.
        dtype: type to compute in.
        others: weights to be converted along with those of the blocks.

    Returns:
        The weights of each block, and the others.
    """
    attns = [block.attn for block in blocks]
    position, factors = _by_position(attns, offsets)
    proj = torch.stack([attn.proj.weight for attn in attns])  # (L, D, D)
    heads = proj.unflatten(2, (factors.shape[1], -1))
    proj = (heads * factors[:, None, :, None]).flatten(2)
    kinds = [_used_singly(block) for block in blocks]
    num_kinds = len(kinds[0])
    position, proj, *converted = cast_together(
        [position, proj, *others, *(weight for kind in kinds for weight in kind)],
        dtype,
    )
    converted_others = converted[: len(others)]
    singly = converted[len(others) :]
    qk, v, *rest = (singly[kind::num_kinds] for kind in range(num_kinds))
    pairs = [weight for pair in zip(qk, v, strict=True) for weight in pair]
    qkv = torch.cat(pairs).unflatten(0, (len(blocks), -1))
    weights = [
        BlockWeights(*own)
        for own in zip(
            position.unbind(), qkv.unbind(), proj.unbind(), *rest, strict=True
        )
    ]
    return weights, converted_others


def _used_singly(block: EncoderBlock) -> tuple[Tensor, ...]:
    """Weights of a block that only their type changes, in the order of their use."""
    attn, norm1, norm2, mlp = block.attn, block.norm1, block.norm2, block.mlp
    return (
        *(attn.qk.weight, attn.v.weight, attn.proj.bias),
        *(norm1.weight, norm1.bias, norm2.weight, norm2.bias),
        *(mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight, mlp.fc2.bias),
    )


def _by_position(
    attns: Sequence[GatedPositionalAttention], offsets: Tensor
) -> tuple[Tensor, Tensor]:
    """Attention by position times odds σ(g) / (1 - σ(g)), and the factors 1 - σ(g).

    Returns:
        (L, H, N, N) and (L, H).
    """
    num_tokens = len(offsets)
    scores = torch.addmm(
        torch.cat([attn.pos_proj.bias for attn in attns])[:, None],
        torch.cat([attn.pos_proj.weight for attn in attns]),
        offsets.flatten(0, 1).T,
    )
    gates = torch.stack([attn.gating_param for attn in attns])
    gates = F.hardtanh(gates, -_LARGEST_GATE, _LARGEST_GATE)
    logits = scores.view(len(attns), -1, num_tokens, num_tokens).log_softmax(dim=-1)
    return (logits + gates[:, :, None, None]).exp(), (-gates).sigmoid()
