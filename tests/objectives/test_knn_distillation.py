"""K-nearest-neighbour-invariant distillation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from daformer_kedro.objectives.knn_distillation import (
    FeatureBank,
    batch_neighbours,
    knn_distillation_loss,
    no_image_in_common,
)
from daformer_kedro.objectives.neighbourhood import (
    concatenate_tasks,
    find_neighbours,
    neighbourhood_preservation,
)


def unit(*degrees: float) -> Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def batch_loss(
    student: Tensor,
    teacher: Tensor,
    num: int,
    temperature: float,
    candidates: Tensor | None = None,
) -> Tensor:
    neighbours = batch_neighbours(teacher, num, temperature, candidates)
    return knn_distillation_loss(student, neighbours, temperature)


def bank_loss(
    bank: FeatureBank, student: Tensor, teacher: Tensor, rows: Tensor
) -> Tensor:
    return bank.loss(student, bank.neighbours_of(teacher, rows, 0.1), 0.1)


def test_task_embeddings_are_joined_for_the_known_tasks_alone() -> None:
    embeddings = torch.arange(12.0).reshape(3, 2, 2)
    assert concatenate_tasks(embeddings, 2).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_neighbours_by_hand() -> None:
    found = find_neighbours(unit(0, 10, 30, 90), 2)
    assert found.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_neighbours_do_not_depend_on_length_or_chunks() -> None:
    features = random(23, 5)
    scaled = features * torch.linspace(0.1, 9, 23, dtype=torch.float64)[:, None]
    expected = find_neighbours(features, 4)
    assert torch.equal(find_neighbours(scaled, 4, chunk_size=5), expected)
    assert find_neighbours(features, 99).shape == (23, 22)


def test_the_loss_of_four_points_by_hand() -> None:
    teacher, student = unit(0, 10, 30, 90), unit(0, 50, 30, 90)
    temperature = 0.5
    # Each anchor's two neighbours under the teacher, and the angles to them before
    # and after point 1 moved from 10 to 50 degrees.
    before = [(10, 30), (10, 20), (20, 30), (60, 80)]
    after = [(50, 30), (50, 20), (20, 30), (60, 40)]
    expected = 0.0
    for old, new in zip(before, after, strict=True):
        old_weights = [math.exp(math.cos(math.radians(a)) / temperature) for a in old]
        new_weights = [math.exp(math.cos(math.radians(a)) / temperature) for a in new]
        for o, n in zip(old_weights, new_weights, strict=True):
            p, q = o / sum(old_weights), n / sum(new_weights)
            expected += p * math.log(p / q) / 4
    loss = batch_loss(student, teacher, 2, temperature)
    assert float(loss) == pytest.approx(expected, abs=1e-12)
    assert expected > 0.001


def test_equal_models_have_no_loss() -> None:
    features = random(9, 4)
    assert float(batch_loss(features, features, 3, 0.1)) == 0.0


def test_rotation_and_scaling_of_either_embedding_change_nothing() -> None:
    student, teacher = random(9, 4), random(9, 4, seed=1)
    rotation, _ = torch.linalg.qr(random(4, 4, seed=2))
    expected = float(batch_loss(student, teacher, 3, 0.1))
    assert expected > 0
    moved = batch_loss(3 * student @ rotation, 0.2 * teacher @ rotation, 3, 0.1)
    assert float(moved) == pytest.approx(expected, rel=1e-9)


def test_no_gradient_reaches_the_teacher_and_the_students_is_right() -> None:
    student = random(5, 3).requires_grad_()
    teacher = random(5, 3, seed=1).requires_grad_()
    batch_loss(student, teacher, 2, 0.5).backward()
    assert teacher.grad is None
    fixed = teacher.detach()
    assert torch.autograd.gradcheck(lambda x: batch_loss(x, fixed, 2, 0.5), student)


@pytest.mark.parametrize("num_samples", [1, 2, 3])
def test_small_batches_use_the_neighbours_there_are(num_samples: int) -> None:
    student = random(num_samples, 3).requires_grad_()
    loss = batch_loss(student, random(num_samples, 3, seed=1), 5, 0.1)
    loss.backward()
    assert torch.isfinite(student.grad).all()
    # One sample has no neighbour; of two, each has just one, whose share is always 1.
    assert (float(loss.detach()) > 1e-6) == (num_samples == 3)


class TestFeatureBank:
    def test_without_movement_there_is_no_loss(self) -> None:
        features = random(8, 4)
        bank = FeatureBank(features, find_neighbours(features, 3))
        rows = torch.tensor([2, 5])
        assert float(bank_loss(bank, features[rows], features[rows], rows)) == 0.0
        assert float(bank_loss(bank, random(2, 4, seed=9), features[rows], rows)) > 0

    def test_refresh_moves_by_the_momentum_and_repeats_share_it(self) -> None:
        bank = FeatureBank(unit(0, 90), torch.tensor([[1], [0]]))
        seen = unit(90, 90, 0)
        still = unit(0, 0, 0)
        bank.refresh(seen, still, torch.tensor([0, 0, 1]), torch.tensor(0.5))
        expected = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
        torch.testing.assert_close(bank.student_features, expected)
        # Under the teacher row 1 alone moved, half of the way from 90 degrees to 0.
        expected = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
        torch.testing.assert_close(bank.teacher_features, expected)

    def test_the_loss_follows_the_bank(self) -> None:
        features = random(8, 4)
        bank = FeatureBank(features, find_neighbours(features, 3))
        rows = torch.tensor([0])
        before = float(bank_loss(bank, features[rows], features[rows], rows))
        neighbours = bank.neighbours[0]
        teacher = features[neighbours]
        bank.refresh(random(3, 4, seed=5), teacher, neighbours, torch.tensor(1.0))
        after = float(bank_loss(bank, features[rows], features[rows], rows))
        assert before == 0.0
        assert after > 1e-3

    def test_equal_models_stay_without_loss_whatever_they_see(self) -> None:
        features = random(8, 4)
        bank = FeatureBank(features, find_neighbours(features, 3))
        for seed in range(3):
            seen = random(4, 4, seed=seed)
            rows = torch.tensor([0, 3, 3, 7])
            bank.refresh(seen, seen, rows, torch.tensor(0.8))
            assert float(bank_loss(bank, seen, seen, rows)) == pytest.approx(
                0, abs=1e-12
            )

    def test_the_state_brings_both_models_features_back(self) -> None:
        features = random(8, 4)
        bank = FeatureBank(features, find_neighbours(features, 3))
        rows = torch.tensor([1, 2])
        bank.refresh(
            random(2, 4, seed=1), random(2, 4, seed=2), rows, torch.tensor(1.0)
        )
        again = FeatureBank(features, find_neighbours(features, 3))
        again.load_state_dict(bank.state_dict())
        assert torch.equal(again.student_features, bank.student_features)
        assert torch.equal(again.teacher_features, bank.teacher_features)
        assert not torch.equal(again.teacher_features, again.student_features)


def test_samples_with_an_image_in_common_are_told_apart() -> None:
    # A batch of 4 mixed with itself reversed: 0 and 3 show the same two images.
    rows = torch.tensor([5, 6, 5, 7])
    unmixed = no_image_in_common(rows[None])
    assert unmixed.tolist() == [
        [False, True, False, True],
        [True, False, True, True],
        [False, True, False, True],
        [True, True, True, False],
    ]
    mixed = no_image_in_common(torch.stack((rows, rows.flip(0))))
    # 5+7, 6+5, 5+6, 7+5: all hold image 5.
    assert not mixed.any()


def test_without_candidates_there_is_no_loss_and_a_finite_gradient() -> None:
    student = random(4, 3).requires_grad_()
    none = torch.zeros(4, 4, dtype=torch.bool)
    loss = batch_loss(student, random(4, 3, seed=1), 2, 0.1, none)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(student.grad).all()


def test_preservation_is_the_share_of_kept_neighbours() -> None:
    neighbours = find_neighbours(unit(0, 10, 30, 90), 2)
    assert neighbourhood_preservation(neighbours, unit(0, 10, 30, 90)) == 1.0
    # With point 1 at 50 degrees: 0 keeps {1, 2}; 1 keeps 2 and swaps 0 for 3; 2 keeps
    # {1, 0}; 3 keeps {2, 1}: seven of eight.
    assert neighbourhood_preservation(neighbours, unit(0, 50, 30, 90)) == 7 / 8


def test_a_single_sample_has_no_neighbourhood_to_keep() -> None:
    alone = random(1, 4)
    assert neighbourhood_preservation(find_neighbours(alone, 5), alone) is None
