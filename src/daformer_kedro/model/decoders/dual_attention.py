"""DAFormer's decoder: keys that depend on the sample, and keys of each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.decoders.decoder import Decoder
from daformer_kedro.model.initialisation import (
    fan_in_uniform,
    linear,
    truncated_normal,
)
from daformer_kedro.model.mlp import MLP
from daformer_kedro.model.task_batch import (
    ALL_AT_ONCE,
    TaskChunks,
    in_chunks,
    task_matmul,
)


class SharedAttention(NamedTuple):
    """Results of dual attention that all tasks share.

    Attributes:
        x: (B, N, D) normalised tokens.
        query: (B, H, N, d).
        value: (B, H, N, d).
        external: (1, B, N, D), external attention of edition S.
    """

    x: torch.Tensor
    query: torch.Tensor
    value: torch.Tensor
    external: torch.Tensor | None


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

    def share(self, x: torch.Tensor) -> SharedAttention:
        """Compute what all tasks share.

        Args:
            x: (B, N, D) normalised tokens.
        """
        query = self._split_heads(self.query(x))
        value = self._split_heads(self.value(x))
        external = None
        if self.external_maps and not self.task_external:
            external = self._shared_external(x, query, value)
        return SharedAttention(x, query, value, external)

    def forward(
        self, shared: SharedAttention, tasks: slice = slice(None)
    ) -> torch.Tensor:
        """Attend with the keys of some tasks, all of them by default.

        Args:
            shared: from :meth:`share`.
            tasks: a range of T tasks.

        Returns:
            (T, B, N, D), or (1, B, N, D) where nothing depends on the task.
        """
        weights = None
        if self.internal_keys:
            weights = self._internal_weights(shared.query, tasks)
        if self.task_external:
            external = self._external_weights(shared.x, shared.query, tasks)
            weights = external if weights is None else weights + external
        attended = None if weights is None else self._weigh(weights, shared.value)
        if shared.external is not None:
            attended = (
                shared.external if attended is None else attended + shared.external
            )
        assert attended is not None  # parts names at least one
        return attended

    def attention_weights(
        self, x: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return each softmax separately, to inspect; :meth:`forward` adds them up.

        Args:
            x: (B, N, D) normalised tokens.

        Returns:
            External weights (1, B, H, N, N) in edition S or (T, B, H, N, N) in
            edition M, and internal weights (T, B, H, N, N), queries before keys;
            ``None`` for a part that is left out.
        """
        query = self._split_heads(self.query(x))
        shape = (-1, *query.shape[:-1], query.shape[-2])
        external = internal = None
        if self.external_maps:
            external = self._external_weights(x, query).view(shape)
        if self.internal_keys:
            internal = self._internal_weights(query).view(shape)
        return external, internal

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)

    def _shared_external(
        self, x: torch.Tensor, query: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """External attention of edition S, (1, B, N, D)."""
        key = self._split_heads(F.linear(x, self.external_maps[0]))
        attended = F.scaled_dot_product_attention(query, key, value)
        return attended.transpose(1, 2).flatten(2)[None]

    # The attention that differs from task to task is explicit: one matrix of internal
    # keys serves all images and heads, and on a CPU with several threads the fused
    # kernel's rounding was seen to depend on the number of tasks. Its weights take
    # H·N numbers per token, less than the 8·D of the MLP's hidden activations.

    def _internal_weights(
        self, query: torch.Tensor, tasks: slice = slice(None)
    ) -> torch.Tensor:
        """Attention to each task's own keys, (T·B·H, N, N)."""
        tokens, width = query.shape[-2:]
        keys = torch.stack(list(self.internal_keys)[tasks])
        biases = torch.stack(list(self.internal_biases)[tasks])
        rows = (query * width**-0.5).reshape(1, -1, width)
        scores = task_matmul(rows, keys.mT) + biases[:, None]  # (T, B·H·N, N)
        return scores.softmax(dim=-1).view(-1, tokens, tokens)

    def _external_weights(
        self, x: torch.Tensor, query: torch.Tensor, tasks: slice = slice(None)
    ) -> torch.Tensor:
        """Attention to keys made by each task's map, (T·B·H, N, N)."""
        maps = torch.stack(list(self.external_maps)[tasks])
        keys = task_matmul(x.flatten(0, 1)[None], maps.mT).unflatten(1, x.shape[:2])
        key = self._split_heads(keys)  # (T, B, H, N, d)
        rows = (query * query.shape[-1] ** -0.5).expand_as(key)
        scores = task_matmul(rows.flatten(0, 2), key.flatten(0, 2).mT)
        return scores.softmax(dim=-1)

    def _weigh(self, weights: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Weigh the values that all tasks share, (T, B, N, D)."""
        num_tasks = weights.shape[0] // (value.shape[0] * value.shape[1])
        values = value.expand(num_tasks, -1, -1, -1, -1)
        attended = task_matmul(weights, values.flatten(0, 2)).view_as(values)
        return attended.transpose(2, 3).flatten(3)


class DualAttentionDecoder(Decoder):
    """Pre-norm block of dual attention and MLP, then the mean over the tokens."""

    has_attention_maps = True

    def __init__(
        self, config: ModelConfig, num_tokens: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(config, num_tokens, generator=generator)
        width = config.embed_dim
        self.norm1 = nn.LayerNorm(width)
        self.attn = DualAttention(
            width,
            config.num_heads,
            num_tokens,
            edition=config.edition,
            parts=config.attention,
            generator=generator,
        )
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, config.mlp_ratio, generator=generator)

    def add_task(self, generator: torch.Generator) -> None:
        """Add the keys of one more task; nothing in them is random."""
        self.attn.add_task()

    def old_task_parameters(self) -> list[nn.Parameter]:
        """Parameters that belong to all tasks but the newest."""
        return self.attn.old_task_parameters()

    def bytes_per_task(self, num_tokens: int, itemsize: int) -> int:
        """Activations of one task for one image, about: attention, MLP, residuals.

        Args:
            num_tokens: N of the image.
            itemsize: bytes of a number that autocast computes with; a softmax and a
                residual stay float32.
        """
        hidden, width = self.mlp.fc1.out_features, self.mlp.fc1.in_features
        softmaxes = 2 if self.attn.task_external else 1
        scores = softmaxes * self.attn.num_heads * num_tokens
        widths = (3 * softmaxes * itemsize + 12) * width
        token = 2 * itemsize * hidden + (itemsize + 4) * scores + widths
        return num_tokens * token

    def attention_weights(
        self, x: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return each softmax separately; see :meth:`DualAttention.attention_weights`.

        Args:
            x: (B, N, D) the encoder's output.
        """
        return self.attn.attention_weights(self.norm1(x))

    def forward(
        self,
        x: torch.Tensor,
        keep: torch.Tensor | None = None,
        chunks: TaskChunks = ALL_AT_ONCE,
    ) -> torch.Tensor:
        """Embed the images once for each task.

        Args:
            x: (B, N, D) the encoder's output.
            keep: (2, T, B) factors of the two residuals, or ``None``.
            chunks: how to go through the tasks.

        Returns:
            (T, B, D), or (1, B, D) where nothing depends on the task.
        """
        shared = self.attn.share(self.norm1(x))
        num_tasks = self.attn.num_tasks if keep is None else keep.shape[1]

        def of_tasks(tasks: slice) -> torch.Tensor:
            attended = self.attn(shared, tasks)  # (T, B, N, D)
            if keep is None:
                y = x + attended
                return y.mean(dim=2) + self.mlp.pooled(self.norm2(y))
            y = x + keep[0, tasks, :, None, None] * attended
            pooled = self.mlp.pooled(self.norm2(y))
            return y.mean(dim=2) + keep[1, tasks, :, None] * pooled

        return in_chunks(of_tasks, num_tasks, chunks)
