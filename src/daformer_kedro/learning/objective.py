"""The training loss of one batch: which terms apply, with which weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from daformer_kedro.config import LossesConfig
from daformer_kedro.learning.losses import (
    classification_loss,
    distillation_weight,
    divergence_loss,
    logit_distillation_loss,
    pooled_distillation_loss,
)
from daformer_kedro.learning.mixing import Mixed
from daformer_kedro.learning.neighbourhood import (
    FeatureBank,
    concatenate_tasks,
    knn_distillation_loss,
    no_image_in_common,
)
from daformer_kedro.model import DAFormerOutput


@dataclass(frozen=True)
class Batch:
    """Inputs of the loss of one batch, beside the student's output.

    Attributes:
        targets: (B, C) soft targets over all classes seen.
        rows: (B,) position in the task data of the image that each sample shows most.
        sources: (S, B) positions of all S images that each sample is mixed from.
        own_share: λ, the share of the first source in the mixture, a scalar.
        teacher: the teacher's output for the same images, if a term uses it.
    """

    targets: Tensor
    rows: Tensor
    sources: Tensor
    own_share: Tensor
    teacher: DAFormerOutput | None = None

    @classmethod
    def of(
        cls, mixed: Mixed, rows: Tensor, teacher: DAFormerOutput | None = None
    ) -> Batch:
        """Describe a batch of the images at ``rows`` of the task data, after mixing."""
        if not mixed.is_mixture:
            return cls(mixed.targets, rows, rows[None], mixed.weight, teacher)
        partners = rows.flip(0)
        return cls(
            targets=mixed.targets,
            rows=torch.where(mixed.weight >= 0.5, rows, partners),
            sources=torch.stack((rows, partners)),
            own_share=mixed.weight,
            teacher=teacher,
        )


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

    def terms(self, student: DAFormerOutput, batch: Batch) -> dict[str, Tensor]:
        """Every term as it enters the total; the total is their sum."""
        targets = batch.targets
        kind = self.losses.classification.kind
        terms = {"classification": classification_loss(student.logits, targets, kind)}
        if batch.teacher is not None:
            terms |= self._distillation_terms(student, batch.teacher, batch)
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
        self, student: DAFormerOutput, teacher: DAFormerOutput, batch: Batch
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
            terms["knn_distillation"] = self._knn_term(student, teacher, batch)
        return terms

    def _knn_term(
        self, student: DAFormerOutput, teacher: DAFormerOutput, batch: Batch
    ) -> Tensor:
        knn = self.losses.knn_distillation
        new = concatenate_tasks(student.embeddings, self.num_old_tasks)
        old = concatenate_tasks(teacher.embeddings, self.num_old_tasks)
        if self.bank is not None:
            return knn.weight * self.bank.loss(new, old, batch.rows, knn.temperature)
        return knn.weight * knn_distillation_loss(
            new,
            old,
            knn.num_neighbours,
            knn.temperature,
            no_image_in_common(batch.sources),
        )

    def after_step(self, student: DAFormerOutput, batch: Batch) -> None:
        """Let the bank follow what both models saw in a step.

        Args:
            student: output for the batch, before the step.
            batch: of the step.
        """
        if self.bank is None or batch.teacher is None:
            return
        self.bank.refresh(
            concatenate_tasks(student.embeddings, self.num_old_tasks),
            concatenate_tasks(batch.teacher.embeddings, self.num_old_tasks),
            batch.rows,
            (2 * batch.own_share - 1).abs(),
        )
