"""Loss terms against numbers worked out by hand."""

import math

import pytest
import torch

from daformer_kedro.objectives.classification import classification_loss
from daformer_kedro.objectives.divergence import divergence_loss, divergence_targets
from daformer_kedro.objectives.logit_distillation import (
    distillation_weight,
    logit_distillation_loss,
)
from daformer_kedro.objectives.pooled_distillation import pooled_distillation_loss


def test_binary_classification_loss():
    # z = 0 costs log 2 whatever the target; z = log 3 has probability 3/4.
    logits = torch.tensor([[0.0, math.log(3)]])
    targets = torch.tensor([[0.3, 1.0]])
    expected = (math.log(2) + math.log(4 / 3)) / 2
    loss = classification_loss(logits, targets, "binary")
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_softmax_classification_loss():
    # Probabilities 1/4 and 3/4, with half of the target on each.
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    targets = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    expected = ((math.log(4) + math.log(4 / 3)) / 2 + math.log(2)) / 2
    loss = classification_loss(logits, targets, "softmax")
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_distillation_weight_is_the_share_of_old_classes():
    assert distillation_weight(30, 40) == 0.75


def test_logit_distillation_is_a_mean_over_all_elements():
    # Teacher (3/4, 1/4), student (1/2, 1/2), two classes and two equal images.
    teacher = torch.tensor([[math.log(3), 0.0]]).expand(2, 2)
    student = torch.zeros(2, 2)
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = logit_distillation_loss(student, teacher, 1.0)
    assert loss.item() == pytest.approx(divergence / 2, rel=1e-6)


def test_logit_distillation_scales_with_the_squared_temperature():
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = logit_distillation_loss(torch.zeros(1, 2), teacher, 2.0)
    assert loss.item() == pytest.approx(4 * divergence / 2, rel=1e-6)


def test_divergence_targets_sum_the_old_classes():
    targets = torch.tensor([[0.25, 0.25, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(divergence_targets(targets, 2), expected)


def test_divergence_loss():
    # Two outputs of probability 3/4 and 1/2; the first is the old classes' sum, 1.
    logits = torch.tensor([[math.log(3), 0.0]])
    targets = torch.tensor([[0.5, 0.5, 0.0]])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert divergence_loss(logits, targets, 2).item() == pytest.approx(expected)


def test_pooled_distillation_of_one_pixel():
    # One token of width 1: both pooled values are the number itself, so u is
    # ±(1, 1) / √2 and opposite maps are 2 apart, equal ones 0.
    new = [torch.full((1, 1, 1, 1), 5.0), torch.full((1, 1, 1, 1), 3.0)]
    old = [torch.full((1, 1, 1, 1), -1.0), torch.full((1, 1, 1, 1), 7.0)]
    assert pooled_distillation_loss(new, old).item() == pytest.approx(1.0)
    assert pooled_distillation_loss(new, old, 0.5).item() == pytest.approx(0.5)


def test_pooled_distillation_takes_tokens_as_a_square_map():
    generator = torch.Generator().manual_seed(0)
    new, old = torch.randn(2, 3, 9, 5, generator=generator)
    maps = [[tokens.view(3, 3, 3, 5)] for tokens in (new, old)]
    torch.testing.assert_close(
        pooled_distillation_loss([new], [old]), pooled_distillation_loss(*maps)
    )


@pytest.mark.parametrize(("num_new", "num_old"), [(1, 2), (0, 0)])
def test_pooled_distillation_needs_as_many_maps_of_both(num_new, num_old):
    maps = [torch.ones(1, 1, 1, 1)] * 2
    with pytest.raises(ValueError, match=f"{num_new} maps of the student"):
        pooled_distillation_loss(maps[:num_new], maps[:num_old])
