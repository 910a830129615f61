"""How much to compute at a time: what fits a cache, or a memory.

The decoder embeds each image once a task, so that its activations grow with tasks
times images. A few tasks at a time, they stay in a CPU's cache, which makes evaluation
about one and a half times as fast; see docs/results/performance.md.
"""

from __future__ import annotations

import logging

import psutil
import torch

from daformer_kedro.model import DAFormer
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks

_LOGGER = logging.getLogger(__name__)
_CPU_CACHE = 64 * 2**20  # bytes of activations, of which a third is in use at a time
_GPU_SHARE = 16  # of its memory
_FEWEST_TASKS = 2  # a batched product of one task is computed twice


def inference_chunks(
    model: DAFormer, batch_size: int, device: torch.device
) -> tuple[int, TaskChunks]:
    """Pieces in which to look at images, in float32 and without gradients.

    Args:
        model: the network.
        batch_size: most images at a time.
        device: where to compute.

    Returns:
        Images at a time, and how the decoder goes through the tasks.
    """
    num_images = batch_size
    if device.type == "cpu":
        fitting = _CPU_CACHE // _bytes_per_task(model, torch.float32) // _FEWEST_TASKS
        num_images = min(batch_size, max(1, fitting))
    return num_images, _piecewise(model, num_images, device, torch.float32)


def training_chunks(
    model: DAFormer,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype,
    num_ranks: int = 1,
) -> TaskChunks:
    """How the decoder goes through the tasks in an optimisation step.

    On a GPU all at once, on a CPU as many as its cache holds; a few at a time and
    twice, where the activations would take more than half of the memory.

    Args:
        model: the network.
        batch_size: images of each rank's step.
        device: where to compute.
        precision: type of the activations.
        num_ranks: processes that share the memory of a CPU.
    """
    is_cpu = device.type == "cpu"
    memory = _memory(device) // (num_ranks if is_cpu else 1)
    needed = model.num_tasks * batch_size * _bytes_per_task(model, precision)
    few = _piecewise(model, batch_size, device, precision)
    if needed <= memory // 2:
        return few if is_cpu else ALL_AT_ONCE
    _LOGGER.info(
        "the decoder's activations for %d tasks would take about %.1f of %.1f GiB: it "
        "works on %d tasks at a time and computes them twice",
        model.num_tasks,
        needed / 2**30,
        memory / 2**30,
        few.num_tasks,
    )
    return TaskChunks(few.num_tasks, recompute=True)


def _piecewise(
    model: DAFormer, num_images: int, device: torch.device, precision: torch.dtype
) -> TaskChunks:
    """As many tasks as fit a CPU's cache, or a small part of a GPU's memory."""
    room = _CPU_CACHE if device.type == "cpu" else _memory(device) // _GPU_SHARE
    one = num_images * _bytes_per_task(model, precision)
    return TaskChunks(max(_FEWEST_TASKS, room // one))


def _bytes_per_task(model: DAFormer, precision: torch.dtype) -> int:
    """Activations of the decoder for one image and one task."""
    num_tokens = model.pos_embed.shape[1]
    return model.decoder.numbers_per_task(num_tokens) * precision.itemsize


def _memory(device: torch.device) -> int:
    """Bytes of the device in all, which do not change from one run to the next."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total
