"""One classification head for each task, in their own type under autocast too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.model.computing import KeptWeights, by_hand
from daformer_kedro.model.initialisation import default_linear
from daformer_kedro.model.task_batch import task_matmul

_BLOCK_WIDTH = 16


class TaskHead(nn.Module):
    """LayerNorm and a linear map from one task's embedding to its classes.

    The map starts as PyTorch's own does, as in the released code.
    """

    def __init__(
        self, embed_dim: int, num_classes: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed_dim)
        self.linear = default_linear(embed_dim, num_classes, generator=generator)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Map (B, D) to (B, C), in the weights' type."""
        with by_hand(embedding):
            return self.linear(self.norm(embedding.to(self.linear.weight.dtype)))


class HeadWeights(NamedTuple):
    """Weights of all heads as a pass computes with them.

    Attributes:
        scale: (T, 1, D) of the normalisation.
        shift: (T, 1, D) of the normalisation.
        blocks: (blocks, width, D), the maps.
        biases: (blocks, width, 1).
    """

    scale: torch.Tensor
    shift: torch.Tensor
    blocks: torch.Tensor
    biases: torch.Tensor


class TaskHeads(nn.ModuleList):
    """The heads of all tasks, applied together.

    Each head's classes are cut into blocks of a fixed width, the last one padded, so
    that tasks of any sizes make one batch of products of one shape. A block's shape
    depends on no other task, so growth leaves earlier logits as they are, to the bit.
    """

    block_tasks: torch.Tensor
    positions: torch.Tensor
    padding: torch.Tensor

    def __init__(
        self,
        embed_dim: int,
        task_sizes: Sequence[int],
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self._kept: KeptWeights[HeadWeights] = KeptWeights()
        self.register_buffer("block_tasks", torch.empty(0), persistent=False)
        self.register_buffer("positions", torch.empty(0), persistent=False)
        padding = torch.zeros(_BLOCK_WIDTH, embed_dim)
        self.register_buffer("padding", padding, persistent=False)
        for size in task_sizes:
            self.add_task(size, generator)

    def add_task(self, num_classes: int, generator: torch.Generator) -> None:
        """Add a head for the classes of one more task."""
        head = TaskHead(self.embed_dim, num_classes, generator=generator)
        for first in self.tasks()[:1]:
            head.to(first.linear.weight)
        self.append(head)
        block_tasks: list[int] = []
        positions: list[int] = []
        for task, size in enumerate(self.task_sizes):
            start = len(block_tasks) * _BLOCK_WIDTH
            positions.extend(range(start, start + size))
            block_tasks.extend([task] * -(-size // _BLOCK_WIDTH))
        device = head.linear.weight.device
        self.block_tasks = torch.tensor(block_tasks, device=device)
        self.positions = torch.tensor(positions, device=device)

    def auxiliary(self, generator: torch.Generator) -> TaskHead:
        """Return a new head of the last task's classes and one of all older ones."""
        newest = self.tasks()[-1].linear
        head = TaskHead(self.embed_dim, 1 + newest.out_features, generator=generator)
        return head.to(newest.weight)

    def tasks(self) -> list[TaskHead]:
        """The heads, in task order."""
        return cast(list[TaskHead], list(self))

    @property
    def task_sizes(self) -> tuple[int, ...]:
        """Number of classes of each task."""
        return tuple(head.linear.out_features for head in self.tasks())

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Classify with each task's own embedding.

        Args:
            embeddings: (T, B, D).

        Returns:
            (B, C) logits of all classes, in task order.
        """
        weights = self._kept.get(self, embeddings.dtype, self._weights)
        with by_hand(embeddings):
            embeddings = embeddings.to(weights.scale.dtype)
            normalised = F.layer_norm(embeddings, (self.embed_dim,))
            normalised = normalised * weights.scale + weights.shift
            if len(self.block_tasks) > len(self):
                normalised = normalised.index_select(0, self.block_tasks)
            logits = task_matmul(weights.blocks, normalised.mT, weights.biases)
            return logits.flatten(0, 1).index_select(0, self.positions).T

    def _weights(self) -> HeadWeights:
        norms = [head.norm for head in self.tasks()]
        maps = [head.linear.weight for head in self.tasks()]
        biases = [head.linear.bias[:, None] for head in self.tasks()]
        return HeadWeights(
            torch.stack([norm.weight for norm in norms])[:, None],
            torch.stack([norm.bias for norm in norms])[:, None],
            *(self._blocks(of_heads) for of_heads in (maps, biases)),
        )

    def _blocks(self, of_heads: list[torch.Tensor]) -> torch.Tensor:
        """Bring (C_t, ...) of each head into blocks, (blocks, width, ...)."""
        parts = []
        for values in of_heads:
            padding = self.padding[: -len(values) % _BLOCK_WIDTH, : values.shape[1]]
            parts += [values, padding]
        return torch.cat(parts).unflatten(0, (-1, _BLOCK_WIDTH))
