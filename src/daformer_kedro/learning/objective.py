"""The training loss of one batch: which terms apply, with which weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from daformer_kedro.config import LossesConfig
from daformer_kedro.learning.losses import (
    classification_loss,
    distillation_weight,
    divergence_loss,
    logit_distillation_loss,
    pooled_distillation_loss,
)
from daformer_kedro.learning.neighbourhood import (
    FeatureBank,
    concatenate_tasks,
    knn_distillation_loss,
)
from daformer_kedro.model import DAFormerOutput


@dataclass(frozen=True)
class Objective:
    """Sum of the loss terms that the settings ask for.

    Attributes:
        losses: weights and kinds of the terms.
        num_old: classes of earlier tasks, 0 in the first.
        num_old_tasks: tasks that the teacher knows.
        bank: the student's features, for KNN distillation over the data set.
    """

    losses: LossesConfig
    num_old: int = 0
    num_old_tasks: int = 0
    bank: FeatureBank | None = None

    @property
    def uses_teacher(self) -> bool:
        """Whether any term compares the student with the teacher."""
        return self.num_old > 0 and (
            self.losses.logit_distillation.enabled
            or self.losses.pooled_distillation.weight > 0
            or self.losses.knn_distillation.weight > 0
        )

    @property
    def uses_blocks(self) -> bool:
        """Whether any term reads the encoder blocks' outputs."""
        return self.uses_teacher and self.losses.pooled_distillation.weight > 0

    def terms(
        self,
        student: DAFormerOutput,
        teacher: DAFormerOutput | None,
        targets: Tensor,
        rows: Tensor,
    ) -> dict[str, Tensor]:
        """Every term as it enters the total; the total is their sum.

        Args:
            student: output for the batch.
            teacher: the teacher's output for the same images, if it is used.
            targets: (B, C) soft targets over all classes seen.
            rows: (B,) positions of the images in the task data.
        """
        kind = self.losses.classification.kind
        terms = {"classification": classification_loss(student.logits, targets, kind)}
        if teacher is not None:
            terms |= self._distillation_terms(student, teacher, rows)
        if "logit_distillation" in terms:
            share = distillation_weight(self.num_old, targets.shape[1])
            terms["classification"] = (1 - share) * terms["classification"]
            terms["logit_distillation"] = share * terms["logit_distillation"]
        weight = self.losses.divergence.weight
        if student.divergence_logits is not None and weight > 0:
            terms["divergence"] = weight * divergence_loss(
                student.divergence_logits, targets, self.num_old, kind
            )
        return terms

    def _distillation_terms(
        self, student: DAFormerOutput, teacher: DAFormerOutput, rows: Tensor
    ) -> dict[str, Tensor]:
        terms = {}
        if self.losses.logit_distillation.enabled:
            terms["logit_distillation"] = logit_distillation_loss(
                student.logits[:, : self.num_old],
                teacher.logits,
                self.losses.logit_distillation.temperature,
            )
        pooled = self.losses.pooled_distillation
        if pooled.weight > 0 and student.blocks and teacher.blocks:
            terms["pooled_distillation"] = pooled_distillation_loss(
                student.blocks[:-1], teacher.blocks[:-1], pooled.weight
            )
        if self.losses.knn_distillation.weight > 0:
            terms["knn_distillation"] = self._knn_term(student, teacher, rows)
        return terms

    def _knn_term(
        self, student: DAFormerOutput, teacher: DAFormerOutput, rows: Tensor
    ) -> Tensor:
        knn = self.losses.knn_distillation
        new = concatenate_tasks(student.embeddings, self.num_old_tasks)
        old = concatenate_tasks(teacher.embeddings, self.num_old_tasks)
        if self.bank is None:
            loss = knn_distillation_loss(new, old, knn.num_neighbours, knn.temperature)
        else:
            loss = self.bank.loss(new, old, rows, knn.temperature)
        return knn.weight * loss
