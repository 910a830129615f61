"""Matrix products over a leading task axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

# With MKL, rows of products of up to 9 rows were seen to depend on their number.
_MANY_ROWS = 64


def task_matmul(
    inputs: torch.Tensor, weights: torch.Tensor, biases: torch.Tensor | None = None
) -> torch.Tensor:
    """Multiply each task's inputs by that task's weights.

    A task's result does not depend on how many tasks there are, to the bit: tasks
    lie on the batch axis, so the shape of one product never changes. A batch of one
    takes another kernel, which splits the product over threads and may sum in another
    order; so a single task is computed twice.

    Args:
        inputs: (T, M, K), or (1, M, K) for inputs that the tasks share.
        weights: (T, K, C), or (1, K, C) for weights that the tasks share.
        biases: to be added, of a shape that expands to (T, M, C).

    Returns:
        (T, M, C).
    """
    if torch.compiler.is_exporting():  # of any batch size, without the promise
        product = inputs @ weights
        return product if biases is None else product + biases
    num_tasks = max(len(inputs), len(weights))
    num_products = max(num_tasks, 2)
    factors = (t.expand(num_products, -1, -1) for t in (inputs, weights))
    if biases is None:
        product = torch.bmm(*factors)
    else:
        product = torch.baddbmm(biases.expand(num_products, -1, -1), *factors)
    return product if num_tasks == num_products else product[:num_tasks]


def linear_of_tasks(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Apply one linear map to all tasks, with the promise of :func:`task_matmul`.

    Args:
        inputs: (T, M, K).
        weight: (C, K), which the tasks share.
        bias: (C,), or ``None``.

    Returns:
        (T, M, C).
    """
    if torch.compiler.is_exporting() or inputs.shape[1] >= _MANY_ROWS:
        return F.linear(inputs, weight, bias)
    product = task_matmul(inputs, weight.T[None])
    return product if bias is None else product + bias


def task_linear(inputs: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    """Apply a layer as :func:`linear_of_tasks` does."""
    return linear_of_tasks(inputs, layer.weight, layer.bias)


@dataclass(frozen=True)
class TaskChunks:
    """Way of the decoder through the tasks.

    Attributes:
        at_once: tasks at a time; ``None`` for all.
        recompute: where gradients are needed, throw away what a chunk computes in
            between and compute it again in the backward pass (Chen et al., "Training
            Deep Nets with Sublinear Memory Cost", 2016).
    """

    at_once: int | None = None
    recompute: bool = False


ALL_AT_ONCE = TaskChunks()


def in_chunks(
    of_tasks: Callable[[slice], torch.Tensor], num_tasks: int, chunks: TaskChunks
) -> torch.Tensor:
    """Work a few tasks at a time, to stay in a cache or within a memory.

    Args:
        of_tasks: from a range of tasks to a result whose first axis is theirs; nothing
            in it may be random.
        num_tasks: of all chunks together.
        chunks: how to go.

    Returns:
        The results one after the other; on a CPU equal to the bit whatever the chunks.
    """
    step = chunks.at_once or num_tasks
    if step >= num_tasks:
        return of_tasks(slice(0, num_tasks))
    recompute = chunks.recompute and torch.is_grad_enabled()
    parts = []
    for first in range(0, num_tasks, step):
        tasks = slice(first, min(first + step, num_tasks))
        if recompute:
            part = checkpoint(
                of_tasks, tasks, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = of_tasks(tasks)
        parts.append(part)
    return torch.cat(parts)
