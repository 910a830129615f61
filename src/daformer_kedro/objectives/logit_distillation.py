"""Distillation of the teacher's logits of the old classes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from daformer_kedro.objectives.batch import Batch
from daformer_kedro.objectives.teacher_softmax import (
    TeacherSoftmax,
    divergence,
    teacher_softmax,
)
from daformer_kedro.objectives.term import Need, Term
from daformer_kedro.validation import STRICT, PositiveFloat


@dataclass(frozen=True, config=STRICT)
class LogitDistillation(Term):
    """Keep the old classes' logits as the teacher has them.

    With λ = old classes / classes seen, the term enters with weight · λ and the
    classification loss with 1 - weight · λ (Zhao et al., "Maintaining Discrimination
    and Fairness in Class Incremental Learning", CVPR 2020, and DyTox).

    Attributes:
        weight: in [0, 1]; 1 is the published balance, 0 switches the term off.
        temperature: divides the logits before the softmax.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    temperature: PositiveFloat = 1.0

    @property
    def needs(self) -> frozenset[Need]:
        """A teacher."""
        return frozenset({"teacher"})

    def __call__(self, batch: Batch) -> Tensor:
        """See :func:`logit_distillation_loss`."""
        assert batch.teacher is not None
        logits = batch.teacher.logits
        teacher = batch.once(
            "logit_distillation",
            lambda: teacher_softmax(_tempered(logits, self.temperature)),
        )
        student = batch.student.logits[:, : batch.num_old_classes]
        return _mean_divergence(student, teacher, self.temperature)

    def factor(self, batch: Batch) -> float:
        """Return weight · λ."""
        share = distillation_weight(batch.num_old_classes, batch.targets.shape[1])
        return self.weight * share

    def share_of_classification(self, batch: Batch) -> float:
        """Return weight · λ, so that both terms together keep their size."""
        return self.factor(batch)


def distillation_weight(num_old: int, num_seen: int) -> float:
    """Weight λ = old classes / classes seen of the distillation term."""
    return num_old / num_seen


def logit_distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Kullback-Leibler divergence from the teacher to the student on old classes.

    τ² / (B · C) · Σ_bc p log(p / q) with p = softmax(teacher / τ) and
    q = softmax(student / τ): the mean runs over all elements, as in the released
    code, not over images alone. τ² keeps the gradient's size (Hinton et al., 2015).

    Args:
        student_logits: (B, C) of the old classes.
        teacher_logits: (B, C).
        temperature: τ.
    """
    teacher = teacher_softmax(_tempered(teacher_logits, temperature))
    return _mean_divergence(student_logits, teacher, temperature)


def _mean_divergence(
    student_logits: Tensor, teacher: TeacherSoftmax, temperature: float
) -> Tensor:
    scale = temperature**2 / student_logits.numel()
    return divergence(teacher, _tempered(student_logits, temperature), scale)


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1 else logits / temperature
