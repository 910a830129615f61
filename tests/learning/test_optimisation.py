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


def test_other_rates_have_groups_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4), nn.Linear(4, 2))
    first, second, third = model
    scales = {first.weight: 0.01, first.bias: 0.01, second.weight: 0.1}
    second.bias.requires_grad_(False)
    scales[second.bias] = 0.1  # frozen, whatever its rate
    groups = make_optimiser(model.parameters(), 0.5, 0.2, scales).param_groups
    found = [
        (group["lr"], group["weight_decay"], [id(p) for p in group["params"]])
        for group in groups
    ]
    assert found == [
        (0.5, 0.2, [id(third.weight)]),
        (0.5, 0.0, [id(third.bias)]),
        (0.05, 0.2, [id(second.weight)]),
        (0.05, 0.0, []),
        (0.005, 0.2, [id(first.weight)]),
        (0.005, 0.0, [id(first.bias)]),
    ]


def test_a_scaled_rate_is_a_share_of_the_first_in_every_epoch() -> None:
    weights = [nn.Parameter(torch.ones(1, 1)) for _ in range(2)]
    optimiser = make_optimiser(weights, 1e-3, 0.0, {weights[1]: 0.01})
    training = TrainingConfig(
        warmup_epochs=2, warmup_learning_rate=1e-4, min_learning_rate=1e-4
    )
    schedule = make_schedule(optimiser, training, 8)
    for epoch in range(8):
        schedule.step(epoch)
        plain, _, scaled, _ = (group["lr"] for group in optimiser.param_groups)
        assert plain == schedule.rate(epoch, 1e-3)
        assert scaled == pytest.approx(0.01 * plain)


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
