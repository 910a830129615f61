"""DAFormer's decoder: keys that depend on the sample, and keys of each task."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.attention_heads import check_heads
from daformer_kedro.model.computing import (
    KeptWeights,
    add_residual,
    by_hand,
    cast_together,
    compute_type,
    mean_over_tokens,
)
from daformer_kedro.model.decoders.decoder import Decoder
from daformer_kedro.model.decoders.dual_attention import (
    AttentionWeights,
    DualAttention,
    SharedAttention,
    attend,
)
from daformer_kedro.model.decoders.task_residual import add_to_each_task
from daformer_kedro.model.mlp import MLP
from daformer_kedro.model.task_batch import (
    ALL_AT_ONCE,
    TaskChunks,
    in_chunks,
    linear_of_tasks,
)

# With MKL, products of fewer columns, or rows, were seen to depend on their number.
_FEW_TOKENS = 16


class DecoderWeights(NamedTuple):
    """Weights of the decoder as one pass computes with them.

    Attributes:
        attention: of dual attention, for some tasks.
        norm1: (D,), scale of the first normalisation.
        norm1_bias: (D,), its shift.
        norm2: (D,), scale of the second one.
        norm2_bias: (D,).
        fc1: (hidden, D), first map of the MLP.
        fc1_bias: (hidden,).
        fc2: (D, hidden), second map.
        fc2_bias: (D,).
    """

    attention: AttentionWeights
    norm1: Tensor
    norm1_bias: Tensor
    norm2: Tensor
    norm2_bias: Tensor
    fc1: Tensor
    fc1_bias: Tensor
    fc2: Tensor
    fc2_bias: Tensor

    def of(self, tasks: slice) -> DecoderWeights:
        """Return those of some tasks."""
        return self._replace(attention=self.attention.of(tasks))


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
        self.embed_tasks = EmbedTasks(self.norm2.eps)
        self._kept: KeptWeights[DecoderWeights] = KeptWeights()

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Make sure that the heads divide the width."""
        check_heads(config)

    def add_task(self, generator: torch.Generator) -> None:
        """Add the keys of one more task; nothing in them is random."""
        self.attn.add_task()

    def old_task_parameters(self) -> list[nn.Parameter]:
        """Parameters that belong to all tasks but the newest."""
        return self.attn.old_task_parameters()

    def repeated_modules(self) -> list[nn.Module]:
        """Return what is the same for any number of tasks."""
        return [self.embed_tasks]

    def bytes_per_task(self, num_tokens: int, itemsize: int) -> int:
        """Activations of one task for one image, about: attention, MLP, residuals.

        Args:
            num_tokens: N of the image.
            itemsize: bytes of a number that autocast computes with.
        """
        hidden, width = self.mlp.fc1.out_features, self.mlp.fc1.in_features
        scores = self.attn.num_heads * num_tokens
        numbers = 2 * hidden + 2 * scores + 4 * width
        if self.attn.task_external:
            numbers += 3 * scores + 2 * width
        return num_tokens * numbers * itemsize

    def attention_weights(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return each softmax separately; see :meth:`DualAttention.attention_weights`.

        Args:
            x: (B, N, D) the encoder's output.
        """
        return self.attn.attention_weights(self.norm1(x))

    def forward(
        self,
        x: Tensor,
        keep: Tensor | None = None,
        chunks: TaskChunks = ALL_AT_ONCE,
    ) -> Tensor:
        """Embed the images once for each task: (T, B, D), or (1, B, D)."""
        if x.shape[1] < _FEW_TOKENS:
            chunks = TaskChunks(1, chunks.recompute)
        dtype = compute_type(x)
        with by_hand(x):
            weights = self._kept.get(self, dtype, lambda: self._weights(dtype))
            x = x.to(dtype)
            normalised = _norm(x, weights.norm1, weights.norm1_bias, self.norm1.eps)
            shared = self.attn.share(normalised, weights.attention)
            external = self.attn.external(shared)
            num_tasks = self.attn.num_tasks  # 1 where nothing depends on the task

            def of_tasks(tasks: slice) -> Tensor:
                factors = (None, None) if keep is None else keep[:, tasks].unbind()
                return self.embed_tasks(x, shared, external, weights.of(tasks), factors)

            return in_chunks(of_tasks, num_tasks, chunks)

    def _weights(self, dtype: torch.dtype) -> DecoderWeights:
        """Prepare the weights of a pass."""
        attention = self.attn.weights()
        own = [
            weight
            for layer in (self.norm1, self.norm2, self.mlp.fc1, self.mlp.fc2)
            for weight in (layer.weight, layer.bias)
        ]
        present = [weight for weight in attention if weight is not None]
        converted = cast_together([*own, *present], dtype)
        rest = iter(converted[len(own) :])
        shared, *per_task = (None if w is None else next(rest) for w in attention)
        assert shared is not None  # it is always there
        stacked = AttentionWeights(shared, *per_task)
        return DecoderWeights(stacked, *converted[: len(own)])


class EmbedTasks(nn.Module):
    """Way from what all tasks share to the embedding of each; holds no weights.

    A module of its own so that it can be compiled: the tasks are one axis of its
    inputs, and one graph serves any number of them but one.

    Args:
        eps: of the second normalisation.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(
        self,
        x: Tensor,
        shared: SharedAttention,
        external: Tensor | None,
        weights: DecoderWeights,
        keep: tuple[Tensor | None, ...],
    ) -> Tensor:
        """Embed the images for T tasks.

        Args:
            x: (B, N, D) the encoder's output.
            shared: what the attention of all tasks shares.
            external: (B, H, N, d) external attention of edition S.
            weights: of the T tasks.
            keep: (T, B) factors of each of the two residuals, or ``None``.

        Returns:
            (T, B, D).
        """
        of_attention, of_mlp = keep
        internal = attend(shared, weights.attention)  # (B, H, N, T, d)
        if internal is None:
            assert external is not None  # the settings name at least one
            internal, external = external.unsqueeze(3), None
        y, mean = add_to_each_task(x, external, internal, of_attention)
        normalised = _norm(y, weights.norm2, weights.norm2_bias, self.eps)
        hidden = F.gelu(F.linear(normalised, weights.fc1, weights.fc1_bias))
        # The second map is linear, so it is applied to the mean over the tokens.
        pooled = mean_over_tokens(hidden)
        transformed = linear_of_tasks(pooled, weights.fc2, weights.fc2_bias)
        factors = None if of_mlp is None else of_mlp[:, :, None]
        return add_residual(mean, transformed, factors)


def _norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], scale, shift, eps)
