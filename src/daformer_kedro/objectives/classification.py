"""Classification of the classes seen so far."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from daformer_kedro.objectives.batch import Batch, Kind
from daformer_kedro.objectives.term import Term
from daformer_kedro.validation import STRICT, NonNegativeFloat


@dataclass(frozen=True, config=STRICT)
class Classification(Term):
    """Cross-entropy against soft targets.

    Attributes:
        weight: factor in the total. Where logits are distilled, that term stands in
            for a share of it.
        kind: ``binary``, a binary cross-entropy for each class, or ``softmax``.
        label_smoothing: share s of each target that is spread over all classes.
    """

    weight: NonNegativeFloat = 1.0
    kind: Kind = "binary"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def __call__(self, batch: Batch) -> Tensor:
        """See :func:`classification_loss`."""
        return classification_loss(batch.student.logits, batch.targets, self.kind)


def classification_loss(logits: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Cross-entropy against soft targets.

    ``binary``: mean over images and classes of
    -y log σ(z) - (1 - y) log(1 - σ(z)), as DyTox and DAFormer use it.
    ``softmax``: mean over images of -Σ_c y_c log softmax(z)_c.

    Args:
        logits: (B, C).
        targets: (B, C) soft targets in [0, 1].
        kind: which of the two.
    """
    if kind == "binary":
        return F.binary_cross_entropy_with_logits(logits, targets)
    return F.cross_entropy(logits, targets)
