"""Transformer blocks: the encoder's and the task-conditioned decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.model.dual_attention import DualAttention
from daformer_kedro.model.gated_attention import GatedPositionalAttention
from daformer_kedro.model.initialisation import linear
from daformer_kedro.model.task_batch import (
    ALL_AT_ONCE,
    TaskChunks,
    in_chunks,
    task_linear,
)


class MLP(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(
        self, embed_dim: int, ratio: float, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        hidden = round(embed_dim * ratio)
        self.fc1 = linear(embed_dim, hidden, generator=generator)
        self.fc2 = linear(hidden, embed_dim, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., D) to (..., D)."""
        return self.fc2(F.gelu(self.fc1(x)))

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Mean over the tokens of the output, (T, B, N, D) to (T, B, D).

        The second map is linear, so it is applied to the mean of the hidden
        activations: half of the work falls away.
        """
        hidden = task_linear(x.flatten(1, 2), self.fc1).unflatten(1, x.shape[1:3])
        return task_linear(F.gelu(hidden).mean(dim=2), self.fc2)


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


class DualAttentionDecoder(nn.Module):
    """Pre-norm block of dual attention and MLP, then the mean over the tokens."""

    def __init__(
        self, attn: DualAttention, mlp_ratio: float, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        embed_dim = attn.query.in_features
        self.norm1 = nn.LayerNorm(embed_dim)
        self.attn = attn
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = MLP(embed_dim, mlp_ratio, generator=generator)

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
