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
        """Map (..., D) to (..., D)."""
        return self.fc2(F.gelu(self.fc1(x)))

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Mean over the tokens of the output, (T, B, N, D) to (T, B, D).

        The second map is linear, so it is applied to the mean of the hidden
        activations: half of the work falls away.
        """
        hidden = task_linear(x.flatten(1, 2), self.fc1).unflatten(1, x.shape[1:3])
        return task_linear(F.gelu(hidden).mean(dim=2), self.fc2)
