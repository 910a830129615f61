"""Optimiser groups and learning rates."""

from __future__ import annotations

import math

import pytest
import torch
from timm.scheduler import CosineLRScheduler
from torch import nn

from daformer_kedro.config import TrainingConfig
from daformer_kedro.learning.optimisation import (
    make_optimiser,
    make_schedule,
    scaled_learning_rate,
)


def test_the_rate_is_scaled_linearly() -> None:
    assert scaled_learning_rate(5e-4, 128) == pytest.approx(1.25e-4)


def test_vectors_are_not_decayed_and_frozen_parameters_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    model[2].requires_grad_(False)
    decayed, plain = make_optimiser(model.parameters(), 0.1, 0.5).param_groups
    assert [p.shape for p in decayed["params"]] == [(2, 3)]
    assert decayed["weight_decay"] == 0.5
    assert [p.shape for p in plain["params"]] == [(2,)] * 3
    assert plain["weight_decay"] == 0.0
    assert (decayed["betas"], decayed["lr"]) == ((0.9, 0.999), 0.1)


def rates(training: TrainingConfig, epochs: int) -> list[float]:
    optimiser = make_optimiser([nn.Parameter(torch.ones(1))], 1e-3, 0.0)
    schedule = make_schedule(optimiser, training, epochs)
    found = []
    for epoch in range(epochs):
        schedule.step(epoch)
        found.append(optimiser.param_groups[0]["lr"])
    return found


def test_warm_up_is_linear_and_then_a_cosine_falls_to_the_smallest_rate() -> None:
    training = TrainingConfig(
        warmup_epochs=5, warmup_learning_rate=1e-6, min_learning_rate=1e-5
    )
    found = rates(training, 500)
    for epoch in range(5):
        assert found[epoch] == pytest.approx(1e-6 + epoch * (1e-3 - 1e-6) / 5)
    for epoch in (5, 250, 499):
        cosine = 1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * epoch / 500)) / 2
        assert found[epoch] == pytest.approx(cosine)


def test_a_single_epoch_has_the_full_rate_whatever_the_warm_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert rates(TrainingConfig(warmup_epochs=5), 1) == [1e-3]
    assert not caplog.records


@pytest.mark.parametrize("epochs", [1, 2, 7, 500])
@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("lowest", [0.0, 1e-5])
def test_every_rate_is_timms_to_the_bit(
    epochs: int, warmup: int, lowest: float
) -> None:
    training = TrainingConfig(warmup_epochs=warmup, min_learning_rate=lowest)
    optimiser = make_optimiser([nn.Parameter(torch.ones(1))], 1e-3, 0.0)
    timms = CosineLRScheduler(
        optimiser,
        t_initial=epochs,
        lr_min=lowest,
        warmup_t=min(warmup, epochs - 1),
        warmup_lr_init=training.warmup_learning_rate,
    )
    expected = []
    for epoch in range(epochs):
        timms.step(epoch)
        expected.append(optimiser.param_groups[0]["lr"])
    assert rates(training, epochs) == expected
