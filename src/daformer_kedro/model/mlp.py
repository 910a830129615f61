"""The MLP of a transformer block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.model.initialisation import linear
from daformer_kedro.model.task_batch import task_linear


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
        """Map (T, M, D) to (T, M, D); a task's result does not depend on T."""
        return task_linear(F.gelu(task_linear(x, self.fc1)), self.fc2)
