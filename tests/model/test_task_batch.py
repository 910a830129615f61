"""Products over a leading task axis."""

import pytest
import torch

from daformer_kedro.model.task_batch import task_linear, task_matmul


@pytest.mark.parametrize("rows", [1, 3, 80])
@pytest.mark.parametrize("num_tasks", [1, 4])
def test_each_task_has_its_own_weights(rows, num_tasks):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num_tasks, rows, 5, generator=generator)
    weights = torch.randn(num_tasks, 5, 2, generator=generator)
    expected = torch.einsum("tmk,tkc->tmc", inputs, weights)
    torch.testing.assert_close(task_matmul(inputs, weights), expected)


def test_shared_inputs_and_a_shared_map():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 3, 5, generator=generator)
    weights = torch.randn(4, 5, 2, generator=generator)
    assert task_matmul(inputs, weights).shape == (4, 3, 2)
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 5, 2)
    with torch.no_grad():
        layer.weight.copy_(weights[0].T)
        layer.bias.copy_(torch.tensor([1.0, -1.0]))
    expected = inputs @ weights[0] + torch.tensor([1.0, -1.0])
    torch.testing.assert_close(task_linear(inputs, layer), expected)


def test_a_shared_map_on_many_rows():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 100, 5, generator=generator)
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 5, 2, bias=False)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
    torch.testing.assert_close(task_linear(inputs, layer), inputs @ layer.weight.T)
