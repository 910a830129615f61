"""Soft targets, mixup and CutMix."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from timm.data.mixup import cutmix_bbox_and_lam, mixup_target

from daformer_kedro.augmentation.mixing import (
    Mixing,
    sample_symmetric_beta,
    soft_targets,
)
from daformer_kedro.errors import InputError

TARGETS = torch.tensor([0, 2, 1, 2])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(num=4, size=8):
    return torch.randn(num, 3, size, size, generator=generator(9))


def mix(mixing, images, targets, draws):
    """Mix one batch."""
    (drawn,) = mixing.draw(1, images.shape[-1], draws)
    return mixing(images, targets, drawn)


def test_soft_targets_by_hand():
    soft = soft_targets(torch.tensor([1, 0]), 4, 0.1)
    expected = [[0.025, 0.925, 0.025, 0.025], [0.925, 0.025, 0.025, 0.025]]
    torch.testing.assert_close(soft, torch.tensor(expected))


def test_no_mixing_only_smooths():
    images = batch()
    mixed = mix(Mixing(0, 0, 3, 0.3), images, TARGETS, generator())
    assert torch.equal(mixed.images, images)
    assert mixed.weight == 1
    torch.testing.assert_close(mixed.targets[0], torch.tensor([0.8, 0.1, 0.1]))


def test_mixup_blends_with_the_reversed_batch():
    images = batch()
    mixed = mix(Mixing(0.8, 0, 3, 0.1), images, TARGETS, generator())
    weight = mixed.weight.item()
    assert 0 < weight < 1
    for i in range(4):
        expected = weight * images[i] + (1 - weight) * images[3 - i]
        torch.testing.assert_close(mixed.images[i], expected)
    torch.testing.assert_close(mixed.targets, mixup_target(TARGETS, 3, weight, 0.1))


def test_cutmix_pastes_one_box_and_corrects_the_weight():
    images = batch(size=16)
    draws = generator(2)
    mixing = Mixing(0, 1.0, 3, 0.1)
    for _ in range(20):
        mixed = mix(mixing, images, TARGETS, draws)
        pasted = (mixed.images == images.flip(0)).all(dim=1)
        kept = (mixed.images == images).all(dim=1)
        assert (pasted ^ kept).all()
        assert (pasted == pasted[0]).all()
        rows, columns = pasted[0].any(1), pasted[0].any(0)
        assert torch.equal(pasted[0], rows[:, None] & columns)
        for line in (rows, columns):  # one run
            assert (line.int().diff() == 1).sum() + line[0] <= 1
        weight = 1 - pasted[0].double().mean().item()
        assert mixed.weight.item() == pytest.approx(weight)
        torch.testing.assert_close(mixed.targets, mixup_target(TARGETS, 3, weight, 0.1))


def test_cutmix_boxes_are_as_large_as_timms():
    images = torch.zeros(2, 1, 32, 32)
    targets = torch.tensor([0, 1])
    draws = generator(3)
    mixing = Mixing(0, 1.0, 2, 0)
    ours = [
        mixing(images, targets, drawn).weight.item()
        for drawn in mixing.draw(1500, 32, draws)
    ]
    rng = np.random.default_rng(0)
    theirs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timm.data.mixup.np.random.randint", rng.integers)
        for share in rng.beta(1, 1, 4000):
            theirs.append(cutmix_bbox_and_lam((1, 32, 32), share)[1])
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.03)
    assert np.quantile(ours, [0.2, 0.5, 0.8]) == pytest.approx(
        np.quantile(theirs, [0.2, 0.5, 0.8]), abs=0.06
    )


def test_both_take_turns():
    images = batch()
    draws = generator(4)
    mixing = Mixing(0.8, 1.0, 3, 0.1)
    pasted = 0
    for _ in range(300):
        mixed = mix(mixing, images, TARGETS, draws).images
        pasted += ((mixed == images) | (mixed == images.flip(0))).all().item()
    assert 120 < pasted < 180  # 150, deviation 8.7


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 5.0])
def test_weights_follow_the_beta_distribution(alpha):
    draws = generator(int(10 * alpha))
    sample = sample_symmetric_beta(alpha, 1500, draws).tolist()
    assert kstest(sample, beta(alpha, alpha).cdf).pvalue > 1e-3


def test_tiny_alpha_stays_finite():
    draws = generator()
    sample = sample_symmetric_beta(1e-3, 50, draws).tolist()
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in sample)


def test_equal_generators_mix_alike():
    images = batch()
    mixing = Mixing(0.8, 1.0, 3, 0.1)
    first, second = (mix(mixing, images, TARGETS, generator(5)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.targets, second.targets)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-0.1, 0, 3, 0.1), "mixup_alpha"),
        ((0, math.inf, 3, 0.1), "cutmix_alpha"),
        ((0, 0, 0, 0.1), "num_classes"),
        ((0, 0, 3, 1.0), "label_smoothing"),
    ],
)
def test_impossible_parameters_are_named(arguments, name):
    with pytest.raises(InputError, match=name):
        Mixing(*arguments)
