"""Dual attention: keys that depend on the sample, and keys of each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daformer_kedro.model.initialisation import (
    fan_in_uniform,
    linear,
    truncated_normal,
)


class AttentionWeights(NamedTuple):
    """Weights of dual attention as one pass computes with them, all tasks stacked.

    Attributes:
        shared: (2 · D, D) map to queries and values, or (3 · D, D) with the external
            keys of edition S.
        keys: (T, N, d) internal keys over √d.
        biases: (T, N) of the internal keys.
        maps: (T, D, D) maps to the external keys of edition M.
    """

    shared: Tensor
    keys: Tensor | None
    biases: Tensor | None
    maps: Tensor | None

    def of(self, tasks: slice) -> AttentionWeights:
        """Return those of some tasks."""
        keys, biases, maps = (
            # A slice of all would still take an operation in the backward pass.
            weight
            if weight is None or len(weight) == tasks.stop - tasks.start
            else weight[tasks]
            for weight in self[1:]
        )
        return AttentionWeights(self.shared, keys, biases, maps)


class SharedAttention(NamedTuple):
    """Results of dual attention that all tasks share.

    Attributes:
        x: (B, N, D) normalised tokens.
        query: (B, H, N, d).
        value: (B, H, N, d).
        key: (B, H, N, d), external keys of edition S.
    """

    x: Tensor
    query: Tensor
    value: Tensor
    key: Tensor | None


class DualAttention(nn.Module):
    """External plus internal attention, all tasks at once.

    External attention is softmax(q kᵀ / √d) v with keys made from the tokens;
    internal attention is softmax(q Mᵗᵀ / √d + bᵗ) v with a learned matrix Mᵗ (N, d),
    shared by the heads, and a bias bᵗ (N) for each task t. Their sum is the output;
    no projection follows.

    Edition S has one map to the external keys, edition M one per task. A part that is
    left out has no parameters.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_tokens: int,
        *,
        edition: Literal["S", "M"],
        parts: Sequence[Literal["external", "internal"]],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.task_external = edition == "M" and "external" in parts
        self.query = linear(embed_dim, embed_dim, bias=False, generator=generator)
        self.value = linear(embed_dim, embed_dim, bias=False, generator=generator)
        if "external" in parts:
            weight = truncated_normal(embed_dim, embed_dim, generator=generator)
            self.external_maps = nn.ParameterList([nn.Parameter(weight)])
        else:
            self.external_maps = nn.ParameterList()
        self.internal_keys = nn.ParameterList()
        self.internal_biases = nn.ParameterList()
        if "internal" in parts:
            head_dim = embed_dim // num_heads
            shapes = ((num_tokens, head_dim), (num_tokens,))
            key, bias = (
                fan_in_uniform(*shape, fan_in=head_dim, generator=generator)
                for shape in shapes
            )
            self.internal_keys.append(nn.Parameter(key))
            self.internal_biases.append(nn.Parameter(bias))

    def add_task(self) -> None:
        """Add an all-zero internal key and, in edition M, a copy of the last map."""
        if self.internal_keys:
            for old in (self.internal_keys, self.internal_biases):
                old.append(nn.Parameter(torch.zeros_like(old[-1])))
        if self.task_external:
            last = self.external_maps[-1].detach().clone()
            self.external_maps.append(nn.Parameter(last))

    def old_task_parameters(self) -> list[nn.Parameter]:
        """Parameters that belong to all tasks but the newest."""
        groups = [self.internal_keys, self.internal_biases]
        if self.task_external:
            groups.append(self.external_maps)
        return [parameter for group in groups for parameter in list(group)[:-1]]

    @property
    def num_tasks(self) -> int:
        """Tasks that attend differently; 1 where nothing depends on the task."""
        per_task = self.external_maps if self.task_external else self.internal_keys
        return max(len(per_task), 1)

    def weights(self) -> AttentionWeights:
        """Return the weights of a pass, in their own type."""
        shared = [self.query.weight, self.value.weight]
        maps = list(self.external_maps)
        keys = biases = None
        if not self.task_external:
            shared += maps
        if self.internal_keys:
            keys = torch.stack(list(self.internal_keys))
            keys = keys * keys.shape[-1] ** -0.5
            biases = torch.stack(list(self.internal_biases))
        return AttentionWeights(
            torch.cat(shared),
            keys,
            biases,
            torch.stack(maps) if self.task_external else None,
        )

    def share(self, x: Tensor, weights: AttentionWeights) -> SharedAttention:
        """Compute what all tasks share.

        Args:
            x: (B, N, D) normalised tokens, of the weights' type.
            weights: of the pass.
        """
        split = F.linear(x, weights.shared).unflatten(
            -1, (-1, self.num_heads, x.shape[-1] // self.num_heads)
        )
        query, value, *key = split.permute(2, 0, 3, 1, 4).contiguous().unbind()
        return SharedAttention(x, query, value, *key or [None])

    def external(self, shared: SharedAttention) -> Tensor | None:
        """Return external attention of edition S, (B, H, N, d)."""
        if shared.key is None:
            return None
        return F.scaled_dot_product_attention(shared.query, shared.key, shared.value)

    def forward(
        self, shared: SharedAttention, weights: AttentionWeights
    ) -> Tensor | None:
        """Attend with the keys of T tasks; see :func:`attend`."""
        return attend(shared, weights)

    def attention_weights(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return each softmax separately, to inspect; :meth:`forward` adds them up.

        Args:
            x: (B, N, D) normalised tokens.

        Returns:
            External weights (1, B, H, N, N) in edition S or (T, B, H, N, N) in
            edition M, and internal weights (T, B, H, N, N), queries before keys;
            ``None`` for a part that is left out.
        """
        weights = self.weights()
        shared = self.share(x, weights)
        external, internal = (
            None if part is None else part.permute(3, 0, 1, 2, 4)
            for part in task_shares(shared, weights)
        )
        if shared.key is not None:
            query = shared.query * shared.query.shape[-1] ** -0.5
            external = (query @ shared.key.mT).softmax(dim=-1)[None]
        return external, internal


# One product makes the scores of all tasks and one weighs the values, so that no query
# and no value is repeated for each task, as the fused kernel would have it; on a CPU
# with several threads its rounding was also seen to depend on the number of tasks. The
# shares take H·N numbers a token, less than the MLP's hidden units.


def attend(shared: SharedAttention, weights: AttentionWeights) -> Tensor | None:
    """Attend with the keys of T tasks.

    Args:
        shared: from :meth:`DualAttention.share`.
        weights: of these tasks.

    Returns:
        (B, H, N, T, d), in edition M with external attention; ``None`` where no
        attention depends on the task.
    """
    present = [part for part in task_shares(shared, weights) if part is not None]
    if not present:
        return None
    shares = present[0] if len(present) == 1 else present[0] + present[1]
    batch, heads, tokens, tasks, _ = shares.shape
    attended = torch.bmm(shares.flatten(0, 1).flatten(1, 2), shared.value.flatten(0, 1))
    return attended.view(batch, heads, tokens, tasks, -1)


def task_shares(
    shared: SharedAttention, weights: AttentionWeights
) -> tuple[Tensor | None, Tensor | None]:
    """Return the softmax over the keys of each part that depends on the task.

    Args:
        shared: from :meth:`DualAttention.share`.
        weights: of T tasks.

    Returns:
        External shares of edition M and internal ones, (B, H, N, T, N) each, with
        queries before tasks before keys; ``None`` for what is not there.
    """
    query, external, internal = shared.query, None, None
    heads, tokens, width = query.shape[1:]
    if weights.maps is not None:
        key = F.linear(shared.x, weights.maps.flatten(0, 1))
        key = key.unflatten(-1, (len(weights.maps), heads, width))
        key = key.permute(0, 3, 2, 1, 4).flatten(2, 3)  # (B, H, T·N, d)
        scores = (query * width**-0.5) @ key.mT
        external = scores.unflatten(-1, (len(weights.maps), tokens)).softmax(dim=-1)
    if weights.keys is not None and weights.biases is not None:
        scores = F.linear(query, weights.keys.flatten(0, 1), weights.biases.flatten())
        internal = scores.unflatten(-1, weights.biases.shape).softmax(dim=-1)
    return external, internal
