"""Sharpness-aware ascent against numbers worked out by hand."""

import pytest
import torch

from daformer_kedro.learning.sharpness import Ascent


def parameter(values, gradient):
    result = torch.nn.Parameter(torch.tensor(values))
    result.grad = None if gradient is None else torch.tensor(gradient)
    return result


def test_adaptive_ascent():
    # |w| g = (3, -4) over both parameters, norm 5: ε = 2 w² g / 5.
    first, second = parameter([3.0], [1.0]), parameter([-2.0], [-2.0])
    Ascent(rho=2.0).climb([first, second])
    assert first.item() == pytest.approx(3 + 2 * 9 * 1 / 5)
    assert second.item() == pytest.approx(-2 + 2 * 4 * -2 / 5)


def test_plain_ascent_moves_by_rho_along_the_gradient():
    first, second = parameter([10.0], [3.0]), parameter([20.0], [-4.0])
    Ascent(rho=0.5, adaptive=False).climb([first, second])
    assert first.item() == pytest.approx(10 + 0.5 * 3 / 5)
    assert second.item() == pytest.approx(20 - 0.5 * 4 / 5)


@pytest.mark.parametrize("adaptive", [True, False])
def test_ascent_leaves_the_gradients_alone(adaptive):
    weight = parameter([3.0, 1.0], [1.0, 2.0])
    Ascent(rho=1.0, adaptive=adaptive).climb([weight])
    assert weight.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_restore_is_exact_and_keeps_the_new_gradient(dtype):
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(1000, generator=generator).to(dtype))
    weight.grad = torch.randn(1000, generator=generator).to(dtype)
    before = weight.detach().clone()
    ascent = Ascent(rho=3.0)
    ascent.climb([weight])
    assert not torch.equal(weight, before)
    weight.grad = torch.ones_like(weight)
    ascent.return_to_start()
    assert torch.equal(weight, before)
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_a_parameter_without_gradient_stays():
    still, moving = parameter([1.0], None), parameter([1.0], [1.0])
    ascent = Ascent(rho=1.0)
    ascent.climb([still, moving])
    assert (still.item(), moving.item()) == (1.0, 2.0)
    ascent.return_to_start()
    assert (still.item(), moving.item()) == (1.0, 1.0)


def test_a_zero_gradient_moves_nothing():
    weight = parameter([1.0, 2.0], [0.0, 0.0])
    Ascent(rho=3.0).climb([weight])
    assert weight.tolist() == [1.0, 2.0]


def test_each_step_returns_to_its_own_start():
    # A second step keeps its weights in the buffers of the first.
    ascent, weight = Ascent(rho=1.0), parameter([1.0, -2.0], [0.5, 0.5])
    for start in ([1.0, -2.0], [3.0, 4.0]):
        weight.data = torch.tensor(start)
        ascent.climb([weight])
        assert weight.tolist() != start
        ascent.return_to_start()
        assert weight.tolist() == start


def test_parameters_that_begin_to_move_later_return_too():
    ascent, first, second = Ascent(1.0), parameter([1.0], [1.0]), parameter([2.0], None)
    ascent.climb([first, second])
    ascent.return_to_start()
    second.grad = torch.tensor([1.0])
    ascent.climb([first, second])
    assert second.item() != 2.0
    ascent.return_to_start()
    assert (first.item(), second.item()) == (1.0, 2.0)
