"""Scores of unknown images."""

from __future__ import annotations

import math

import pytest
import torch

from daformer_kedro.evaluation.out_of_distribution import (
    distance_to_bank,
    energy,
    measure_detection,
    nearest_in_bank,
    threshold_of,
)

KNOWN = torch.tensor([[1.0, 0.0], [0.0, 2.0]])


def test_the_distance_is_one_minus_the_nearest_cosine() -> None:
    found = distance_to_bank(
        torch.tensor([[3.0, 0.0], [1.0, 1.0], [-1.0, -1.0]]), KNOWN
    )
    half = math.sqrt(0.5)
    assert found.tolist() == pytest.approx([0, 1 - half, 1 + half])
    distances, places = nearest_in_bank(torch.tensor([[0.0, 1.0]]), KNOWN, 5)
    assert places.tolist() == [[1, 0]]
    assert distances[0].tolist() == pytest.approx([0, 1])


def test_the_energy_is_high_where_no_class_is_likely() -> None:
    found = energy(torch.tensor([[0.0, 0.0], [math.log(6), math.log(2)]]))
    assert found.tolist() == pytest.approx([-math.log(2), -math.log(8)])


def test_the_threshold_leaves_each_exemplar_out() -> None:
    same = torch.tensor([[1.0, 0.0]]).repeat(20, 1)
    assert threshold_of(same) == pytest.approx(0, abs=1e-6)
    assert threshold_of(KNOWN) == pytest.approx(1)
    assert threshold_of(KNOWN[:1]) is None


def test_the_threshold_of_a_large_memory_is_that_of_all_pairs() -> None:
    known = torch.randn(2500, 3, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(known, dim=1)
    similarity = (unit @ unit.T).fill_diagonal_(-1)
    expected = torch.quantile(1 - similarity.max(dim=1).values, 0.95)
    assert threshold_of(known) == pytest.approx(float(expected), abs=1e-6)


def test_the_area_counts_pairs_in_order() -> None:
    scores = torch.tensor([0.1, 0.4, 0.3, 0.9])
    later = torch.tensor([False, False, True, True])
    found = measure_detection(scores, later, 0.35)
    assert found == {
        "auroc": 0.75,  # 3 of 4 pairs of a known and an unknown one
        "num_known": 2,
        "num_unknown": 2,
        "known_kept": 0.5,
        "unknown_rejected": 0.5,
    }
    assert "known_kept" not in measure_detection(scores, later, None)
