"""Sharpness-aware ascent against numbers worked out by hand."""

import pytest
import torch

from daformer_kedro.learning.sharpness import ascend, restore


def parameter(values, gradient):
    result = torch.nn.Parameter(torch.tensor(values))
    result.grad = None if gradient is None else torch.tensor(gradient)
    return result


def test_adaptive_ascent():
    # |w| g = (3, -4) over both parameters, norm 5: ε = 2 w² g / 5.
    first, second = parameter([3.0], [1.0]), parameter([-2.0], [-2.0])
    ascend([first, second], rho=2.0)
    assert first.item() == pytest.approx(3 + 2 * 9 * 1 / 5)
    assert second.item() == pytest.approx(-2 + 2 * 4 * -2 / 5)


def test_plain_ascent_moves_by_rho_along_the_gradient():
    first, second = parameter([10.0], [3.0]), parameter([20.0], [-4.0])
    ascend([first, second], rho=0.5, adaptive=False)
    assert first.item() == pytest.approx(10 + 0.5 * 3 / 5)
    assert second.item() == pytest.approx(20 - 0.5 * 4 / 5)


@pytest.mark.parametrize("adaptive", [True, False])
def test_ascent_leaves_the_gradients_alone(adaptive):
    weight = parameter([3.0, 1.0], [1.0, 2.0])
    ascend([weight], rho=1.0, adaptive=adaptive)
    assert weight.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_restore_is_exact_and_keeps_the_new_gradient(dtype):
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(1000, generator=generator).to(dtype))
    weight.grad = torch.randn(1000, generator=generator).to(dtype)
    before = weight.detach().clone()
    saved = ascend([weight], rho=3.0)
    assert not torch.equal(weight, before)
    weight.grad = torch.ones_like(weight)
    restore([weight], saved)
    assert torch.equal(weight, before)
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_a_parameter_without_gradient_stays():
    still, moving = parameter([1.0], None), parameter([1.0], [1.0])
    saved = ascend([still, moving], rho=1.0)
    assert (still.item(), moving.item()) == (1.0, 2.0)
    restore([still, moving], saved)
    assert (still.item(), moving.item()) == (1.0, 1.0)


def test_a_zero_gradient_moves_nothing():
    weight = parameter([1.0, 2.0], [0.0, 0.0])
    ascend([weight], rho=3.0)
    assert weight.tolist() == [1.0, 2.0]
