"""Which loss terms a batch has, and with which weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.augmentation.mixing import Mixed
from daformer_kedro.config import validated
from daformer_kedro.model import DAFormerOutput
from daformer_kedro.objectives import (
    Batch,
    LossesConfig,
    Need,
    Objective,
    knn_distillation,
    terms_of,
)


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


def batch(teacher: DAFormerOutput | None, rows: Tensor = ROWS, **changes: Any) -> Batch:
    old = {"num_old_classes": 3, "num_old_tasks": 1} if teacher else {}
    student = changes.get("student", STUDENT)
    return Batch.unmixed(student, TARGETS, rows, teacher=teacher, **old)


LATER: frozenset[Need] = frozenset({"teacher", "blocks", "divergence_head"})


def objective_of(terms: LossesConfig) -> Objective:
    return Objective(terms_of(terms), LATER)


def test_the_first_task_has_classification_alone() -> None:
    objective = Objective(terms_of(losses()))
    terms = objective(batch(None, student=output(5, 1, seed=0)))
    assert set(terms) == {"classification"}
    assert not objective.uses("teacher")
    expected = F.binary_cross_entropy_with_logits(STUDENT.logits, TARGETS)
    torch.testing.assert_close(terms["classification"], expected)


def test_classification_and_distillation_share_by_the_old_classes() -> None:
    knn_off = losses(knn_distillation={"weight": 0.0})
    objective = objective_of(knn_off)
    terms = objective(batch(TEACHER))
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
    objective = objective_of(
        losses(logit_distillation={"weight": 0.0}, divergence={"weight": 0.0})
    )
    terms = objective(batch(TEACHER))
    assert set(terms) == {"classification", "knn_distillation"}
    plain = F.binary_cross_entropy_with_logits(STUDENT.logits, TARGETS)
    torch.testing.assert_close(terms["classification"], plain)


def test_knn_distillation_compares_the_old_tasks_embeddings() -> None:
    objective = objective_of(losses())
    same = STUDENT._replace(embeddings=TEACHER.embeddings.repeat(2, 1, 1))
    terms = objective(batch(TEACHER, student=same))
    assert float(terms["knn_distillation"]) == pytest.approx(0.0, abs=1e-6)
    moved = objective(batch(TEACHER))
    assert float(moved["knn_distillation"]) > 1e-3
    doubled = objective_of(
        losses(knn_distillation={"weight": 2 * losses().knn_distillation.weight})
    )(batch(TEACHER))
    torch.testing.assert_close(
        doubled["knn_distillation"], 2 * moved["knn_distillation"]
    )


def test_pooled_distillation_leaves_out_the_last_block() -> None:
    config = losses(pooled_distillation={"weight": 3.0})
    objective = objective_of(config)
    assert objective.uses("blocks")
    first_equal = STUDENT._replace(blocks=(TEACHER.blocks[0], STUDENT.blocks[1]))
    terms = objective(batch(TEACHER, student=first_equal))
    assert float(terms["pooled_distillation"]) == 0.0
    terms = objective(batch(TEACHER))
    assert float(terms["pooled_distillation"]) > 0.1


def test_a_teacher_without_a_use_is_not_asked() -> None:
    config = losses(
        logit_distillation={"weight": 0.0}, knn_distillation={"weight": 0.0}
    )
    assert not objective_of(config).uses("teacher")


def test_a_mixture_shows_the_heavier_of_its_two_images() -> None:
    images, rows = torch.zeros(6, 1, 1, 1), torch.tensor([3, 7, 1, 0, 9, 4])
    light, heavy = (Mixed(images, TARGETS, torch.tensor(w)) for w in (0.3, 0.7))
    assert light.main_image(rows).tolist() == [4, 9, 0, 1, 7, 3]
    assert heavy.main_image(rows).tolist() == rows.tolist()
    for mixed in (light, heavy):
        assert mixed.sources(rows).tolist() == [[3, 7, 1, 0, 9, 4], [4, 9, 0, 1, 7, 3]]
    unmixed = Mixed(images, TARGETS, torch.ones(()), is_mixture=False)
    assert unmixed.sources(rows).tolist() == [rows.tolist()]
    assert unmixed.main_image(rows).tolist() == rows.tolist()


def test_an_images_other_views_are_no_neighbours_of_it() -> None:
    # Two views of each of three images: with K = 2 the neighbours are the four views
    # of the other images, so what the student makes of the own view does not matter.
    rows = torch.tensor([0, 0, 1, 1, 2, 2])
    objective = objective_of(losses(knn_distillation={"num_neighbours": 4}))
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
    terms = objective(batch(TEACHER, rows))
    weight = losses().knn_distillation.weight
    assert float(terms["knn_distillation"]) == pytest.approx(
        weight * expected, rel=1e-5
    )


@pytest.mark.parametrize("scope", ["batch", "dataset"])
def test_the_teachers_neighbours_are_found_once_a_step(
    scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    cosine = knn_distillation._unit

    def counted(features: Tensor) -> Tensor:
        found.append(features.requires_grad)
        return cosine(features)

    terms = losses(knn_distillation={"scope": scope, "num_neighbours": 2})
    bank = {"features": torch.randn(6, 4), "neighbours": torch.tensor([[1, 2]] * 6)}
    objective = Objective(terms_of(terms), LATER | {"neighbourhood"}, bank)
    worse = output(5, 2, seed=7, new=2)
    apart = objective(replace(batch(TEACHER), student=worse))
    monkeypatch.setattr(knn_distillation, "_unit", counted)
    first = batch(TEACHER)
    objective(first)
    num_first = len(found)
    second = objective(first.seen_by(worse))
    # Over the data set anchors and neighbours are scaled to unit length, each once.
    assert (num_first, len(found)) == ((2, 3) if scope == "batch" else (4, 6))
    assert second.keys() == apart.keys()
    assert all(torch.equal(second[name], apart[name]) for name in apart)
