"""Output of the model."""

from __future__ import annotations

from typing import NamedTuple

import torch


class DAFormerOutput(NamedTuple):
    """Result of one forward pass over B images and T tasks.

    Attributes:
        logits: (B, C) of all classes, in task order.
        embeddings: (T, B, D), one for each task, or (1, B, D) where none depends on
            the task.
        divergence_logits: (B, 1 + C_T) of the divergence head, where there is one.
        blocks: (B, N, D) after each encoder block, where asked for.
    """

    logits: torch.Tensor
    embeddings: torch.Tensor
    divergence_logits: torch.Tensor | None = None
    blocks: tuple[torch.Tensor, ...] | None = None

    def float(self) -> DAFormerOutput:
        """Return all outputs in float32."""
        divergence, blocks = self.divergence_logits, self.blocks
        return DAFormerOutput(
            self.logits.float(),
            self.embeddings.float(),
            None if divergence is None else divergence.float(),
            None if blocks is None else tuple(block.float() for block in blocks),
        )
