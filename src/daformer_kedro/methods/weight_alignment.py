"""Weight alignment, against the bias towards the newest classes.

Zhao et al., "Maintaining Discrimination and Fairness in Class Incremental Learning",
CVPR 2020: rehearsal with logit distillation, then the newest head's weight vectors are
scaled so that their mean norm is that of the older heads' (equations 8 and 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from daformer_kedro.methods.method import Method, only

if TYPE_CHECKING:
    from daformer_kedro.model import DAFormer


class WeightAlignment(Method):
    """Logit distillation, and heads of equal weight."""

    label = "weight alignment ({edition})"

    def overlay(self) -> Mapping[str, Any]:
        """Return replay with logit distillation, without finetuning."""
        return {
            "losses": only("classification", "logit_distillation"),
            "finetuning": {"epochs": 0},
        }

    @torch.no_grad()
    def finish(self, model: DAFormer, features: Tensor, targets: Tensor) -> None:
        """Scale the newest head's weights to the mean norm of the older heads'.

        Biases stay, as in the paper; the first task has nothing to align with.
        """
        *older, newest = (head.linear.weight for head in model.heads.tasks())
        if older:
            old_norms = torch.cat([weight.norm(dim=1) for weight in older])
            newest.mul_(old_norms.mean() / newest.norm(dim=1).mean())
