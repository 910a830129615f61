"""Matrix products over a leading task axis."""

from __future__ import annotations

import torch
from torch import nn

# With MKL, products of up to 9 rows were seen to go another way in a batch of one.
_FEW_ROWS = 64


def task_matmul(inputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Multiply each task's inputs by that task's weights.

    A task's result does not depend on how many tasks there are, to the bit: tasks
    lie on the batch axis, so the shape of one product never changes. With few rows a
    batch of one takes another, threaded kernel that sums in another order; then the
    one task is computed twice.

    Args:
        inputs: (T, M, K), or (1, M, K) for inputs that the tasks share.
        weights: (T, K, C), or (1, K, C) for weights that the tasks share.

    Returns:
        (T, M, C).
    """
    num_tasks = max(len(inputs), len(weights))
    num_products = max(num_tasks, 2) if inputs.shape[1] < _FEW_ROWS else num_tasks
    product = torch.bmm(
        inputs.expand(num_products, -1, -1), weights.expand(num_products, -1, -1)
    )
    return product[:num_tasks]


def task_linear(inputs: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    """Apply one linear map to all tasks, as :func:`task_matmul` does.

    Args:
        inputs: (T, M, K).
        layer: the map from K to C that the tasks share.

    Returns:
        (T, M, C).
    """
    product = task_matmul(inputs, layer.weight.T[None])
    return product if layer.bias is None else product + layer.bias
