"""The plainest decoder: the mean over the tokens, for all tasks."""

from __future__ import annotations

import torch

from daformer_kedro.model.decoders.decoder import Decoder
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks


class MeanDecoder(Decoder):
    """Decoder without parameters: encoder and classifier hold all that is learnt."""

    reads_mean = True

    def bytes_per_task(self, num_tokens: int, itemsize: int) -> int:
        """Return the bytes of one mean; N and D are not asked for."""
        return 4 * num_tokens

    def forward(
        self,
        x: torch.Tensor,
        keep: torch.Tensor | None = None,
        chunks: TaskChunks = ALL_AT_ONCE,
    ) -> torch.Tensor:
        """Map tokens (B, N, D) to (1, B, D)."""
        return x.mean(dim=1)[None]
