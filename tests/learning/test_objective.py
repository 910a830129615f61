"""Which loss terms a batch has, and with which weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.config import LossesConfig, validated
from daformer_kedro.learning.mixing import Mixed
from daformer_kedro.learning.objective import Batch, Objective
from daformer_kedro.model import DAFormerOutput


def losses(**changes: object) -> LossesConfig:
    return validated(LossesConfig, changes, "losses")


def output(num_classes: int, num_tasks: int, seed: int, new: int = 0) -> DAFormerOutput:
    generator = torch.Generator().manual_seed(seed)
    return DAFormerOutput(
        logits=torch.randn(6, num_classes, generator=generator),
        embeddings=torch.randn(num_tasks, 6, 4, generator=generator),
        divergence_logits=torch.randn(6, new + 1, generator=generator) if new else None,
        blocks=tuple(torch.randn(6, 4, 3, generator=generator) for _ in range(2)),
    )


STUDENT = output(5, 2, seed=0, new=2)
TEACHER = output(3, 1, seed=1)
TARGETS = torch.eye(5)[[0, 1, 2, 3, 4, 4]]
ROWS = torch.arange(6)


def batch(teacher: DAFormerOutput | None, rows: Tensor = ROWS) -> Batch:
    images, whole = torch.zeros(6, 1, 1, 1), torch.ones(())
    return Batch.of(Mixed(images, TARGETS, whole, is_mixture=False), rows, teacher)


def test_the_first_task_has_classification_alone() -> None:
    objective = Objective(losses())
    terms = objective.terms(output(5, 1, seed=0), batch(None))
    assert set(terms) == {"classification"}
    assert not objective.uses_teacher
    expected = F.binary_cross_entropy_with_logits(STUDENT.logits, TARGETS)
    torch.testing.assert_close(terms["classification"], expected)


def test_classification_and_distillation_share_by_the_old_classes() -> None:
    knn_off = losses(knn_distillation={"weight": 0.0})
    objective = Objective(knn_off, num_old=3, num_old_tasks=1)
    terms = objective.terms(STUDENT, batch(TEACHER))
    assert set(terms) == {"classification", "logit_distillation", "divergence"}
    # Three old classes of five: two fifths stay with classification.
    plain = F.binary_cross_entropy_with_logits(STUDENT.logits, TARGETS)
    torch.testing.assert_close(terms["classification"], 0.4 * plain)
    old = TEACHER.logits.softmax(1)
    gap = old * (old.log() - STUDENT.logits[:, :3].log_softmax(1))
    torch.testing.assert_close(terms["logit_distillation"], 0.6 * gap.mean())
    joined = torch.cat([TARGETS[:, :3].sum(1, keepdim=True), TARGETS[:, 3:]], dim=1)
    divergence = F.binary_cross_entropy_with_logits(STUDENT.divergence_logits, joined)
    torch.testing.assert_close(terms["divergence"], 0.1 * divergence)


def test_without_logit_distillation_classification_keeps_its_weight() -> None:
    objective = Objective(
        losses(logit_distillation={"enabled": False}, divergence={"weight": 0.0}),
        num_old=3,
        num_old_tasks=1,
    )
    terms = objective.terms(STUDENT, batch(TEACHER))
    assert set(terms) == {"classification", "knn_distillation"}
    plain = F.binary_cross_entropy_with_logits(STUDENT.logits, TARGETS)
    torch.testing.assert_close(terms["classification"], plain)


def test_knn_distillation_compares_the_old_tasks_embeddings() -> None:
    objective = Objective(losses(), num_old=3, num_old_tasks=1)
    same = STUDENT._replace(embeddings=TEACHER.embeddings.repeat(2, 1, 1))
    terms = objective.terms(same, batch(TEACHER))
    assert float(terms["knn_distillation"]) == pytest.approx(0.0, abs=1e-6)
    moved = objective.terms(STUDENT, batch(TEACHER))
    assert float(moved["knn_distillation"]) > 1e-3
    doubled = Objective(
        losses(knn_distillation={"weight": 2 * losses().knn_distillation.weight}),
        num_old=3,
        num_old_tasks=1,
    ).terms(STUDENT, batch(TEACHER))
    torch.testing.assert_close(
        doubled["knn_distillation"], 2 * moved["knn_distillation"]
    )


def test_pooled_distillation_leaves_out_the_last_block() -> None:
    config = losses(pooled_distillation={"weight": 3.0})
    objective = Objective(config, num_old=3, num_old_tasks=1)
    assert objective.uses_blocks
    first_equal = STUDENT._replace(blocks=(TEACHER.blocks[0], STUDENT.blocks[1]))
    terms = objective.terms(first_equal, batch(TEACHER))
    assert float(terms["pooled_distillation"]) == 0.0
    terms = objective.terms(STUDENT, batch(TEACHER))
    assert float(terms["pooled_distillation"]) > 0.1


def test_a_teacher_without_a_use_is_not_asked() -> None:
    config = losses(
        logit_distillation={"enabled": False}, knn_distillation={"weight": 0.0}
    )
    assert not Objective(config, num_old=3, num_old_tasks=1).uses_teacher


def test_a_mixture_shows_the_heavier_of_its_two_images() -> None:
    images, rows = torch.zeros(6, 1, 1, 1), torch.tensor([3, 7, 1, 0, 9, 4])
    light = Batch.of(Mixed(images, TARGETS, torch.tensor(0.3)), rows)
    heavy = Batch.of(Mixed(images, TARGETS, torch.tensor(0.7)), rows)
    assert light.rows.tolist() == [4, 9, 0, 1, 7, 3]
    assert heavy.rows.tolist() == rows.tolist()
    for mixed in (light, heavy):
        assert mixed.sources.tolist() == [[3, 7, 1, 0, 9, 4], [4, 9, 0, 1, 7, 3]]
    assert batch(None, rows).sources.tolist() == [rows.tolist()]


def test_an_images_other_views_are_no_neighbours_of_it() -> None:
    # Two views of each of three images: with K = 2 the neighbours are the four views
    # of the other images, so what the student makes of the own view does not matter.
    rows = torch.tensor([0, 0, 1, 1, 2, 2])
    objective = Objective(
        losses(knn_distillation={"num_neighbours": 4}), num_old=3, num_old_tasks=1
    )
    own_views = torch.block_diag(*[torch.ones(2, 2)] * 3).bool()
    teacher = TEACHER.embeddings[0]
    student = STUDENT.embeddings[0]
    expected = 0.0
    for i in range(6):
        others = ~own_views[i]
        old, new = (
            (F.cosine_similarity(x[i, None], x[others]) / 0.1).log_softmax(0)
            for x in (teacher, student)
        )
        expected += float((old.exp() * (old - new)).sum()) / 6
    terms = objective.terms(STUDENT, batch(TEACHER, rows))
    weight = losses().knn_distillation.weight
    assert float(terms["knn_distillation"]) == pytest.approx(
        weight * expected, rel=1e-5
    )
