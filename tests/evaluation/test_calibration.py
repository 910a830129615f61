"""Temperature, biases and calibration error, by numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from daformer_kedro.evaluation.calibration import (
    Calibration,
    Shrinkage,
    expected_calibration_error,
    fit_calibration,
)


def test_the_error_is_the_gap_between_confidence_and_accuracy() -> None:
    sure = torch.tensor([[0.9, 0.1]]).repeat(4, 1)
    unsure = torch.tensor([[0.4, 0.6]]).repeat(6, 1)
    # 3 of 4 right at 0.9, 3 of 6 right at 0.6.
    targets = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0, 0, 0])
    expected = 0.4 * (0.9 - 0.75) + 0.6 * (0.6 - 0.5)
    found = expected_calibration_error(torch.cat((sure, unsure)), targets)
    assert found == pytest.approx(expected, abs=1e-6)


def test_certainty_belongs_to_the_last_bin() -> None:
    certain = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(certain, torch.tensor([0, 0])) == 0


def test_of_the_temperatures_logarithm_a_share_is_taken() -> None:
    # Of logits ± 4, 3 in 4 are right: the likeliest gap is log 3, so T = 8 / log 3.
    logits = torch.tensor([[4.0, -4.0]]).repeat(400, 1)
    targets = (torch.arange(400) % 4 == 0).long()
    likeliest = 8 / math.log(3)
    for share in (0.0, 0.25, 1.0):
        found = fit_calibration(logits, targets, [2], Shrinkage(share, 1.0))
        assert found.task_biases is None
        assert found.temperature == pytest.approx(likeliest**share, rel=2e-2)


def test_a_task_that_shouts_gets_a_bias() -> None:
    chance = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (400,), generator=chance)
    logits = torch.randn(400, 4, generator=chance)
    logits[torch.arange(400), targets] += 1.5
    logits[:, 2:] += 2
    found = fit_calibration(logits, targets, [2, 2], Shrinkage(0.25, 0.5))
    assert found.task_biases is not None
    first, second = found.task_biases
    assert first == pytest.approx(-second)
    # Half of what would undo the shift: (2 / T) / 2 / 2 for each of the two.
    assert 0.3 < first < 0.7


def test_probabilities_and_json() -> None:
    calibration = Calibration(2.0, (math.log(2), 0.0))
    found = calibration.probabilities(torch.zeros(1, 3), [1, 2])
    assert found[0].tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert Calibration.from_json(calibration.to_json() | {"other": 1}) == calibration
    assert Calibration.from_json({}) == Calibration()
