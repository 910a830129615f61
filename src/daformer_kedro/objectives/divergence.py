"""The auxiliary divergence head's loss."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from daformer_kedro.objectives.batch import Batch, Kind
from daformer_kedro.objectives.classification import classification_loss
from daformer_kedro.objectives.term import Need, Term
from daformer_kedro.validation import STRICT, NonNegativeFloat


@dataclass(frozen=True, config=STRICT)
class Divergence(Term):
    """Classification of the new classes and "some old class" (DyTox, equation 9).

    Attributes:
        weight: factor in the total; 0 switches the term off, and the head with it.
    """

    weight: NonNegativeFloat = 0.1

    @property
    def needs(self) -> frozenset[Need]:
        """The auxiliary head, which a model grows from the second task on."""
        return frozenset({"divergence_head"})

    def __call__(self, batch: Batch) -> Tensor:
        """See :func:`divergence_loss`; the targets are found once a step."""
        logits = batch.student.divergence_logits
        assert logits is not None
        targets = batch.once(
            "divergence",
            lambda: divergence_targets(batch.targets, batch.num_old_classes),
        )
        return classification_loss(logits, targets, batch.kind)


def divergence_targets(targets: Tensor, num_old: int) -> Tensor:
    """Soft targets of the divergence head: some old class, or which new class.

    Args:
        targets: (B, C) over all classes seen.
        num_old: number of old classes; they come first.

    Returns:
        (B, 1 + C - num_old): the old classes' sum, then the new classes' targets.
    """
    old = targets[:, :num_old].sum(dim=1, keepdim=True)
    return torch.cat((old, targets[:, num_old:]), dim=1)


def divergence_loss(
    logits: Tensor, targets: Tensor, num_old: int, kind: Kind = "binary"
) -> Tensor:
    """Classification loss of the divergence head.

    Args:
        logits: (B, 1 + new classes).
        targets: (B, C) soft targets over all classes seen.
        num_old: how many of the classes are old.
        kind: see :func:`~daformer_kedro.objectives.classification.classification_loss`.
    """
    return classification_loss(logits, divergence_targets(targets, num_old), kind)
