"""Amounts to compute at a time: what fits a cache, or a memory.

The decoder embeds each image once per task, so that its activations grow with tasks
times images. A few tasks at a time, they stay in a CPU's cache, which is faster: see
docs/results/performance.md.
"""

from __future__ import annotations

import logging
from pathlib import Path

import psutil
import torch

from daformer_kedro.model import DAFormer
from daformer_kedro.model.encoders import Encoder
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks

_LOGGER = logging.getLogger(__name__)
# Bytes of activations, of which a third is in use at a time; the best of what was tried
# with one thread and with two, whatever the caches of the processor.
_CPU_BYTES, _BYTES_PER_THREAD = 64 * 2**20, 32 * 2**20
_GPU_SHARE = 16  # of its memory
_FEWEST_TASKS = 2  # a batched product of one task is computed twice
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def encoder_images_at_once(
    encoder: Encoder, batch_size: int, device: torch.device
) -> int:
    """Return how many images to encode in one pass: on a CPU no more than it wants."""
    own = encoder.images_at_once() if device.type == "cpu" else None
    return min(batch_size, own or batch_size)


def images_at_once(model: DAFormer, batch_size: int, device: torch.device) -> int:
    """Return how many images to embed in one pass, in float32 without gradients.

    Args:
        model: the network.
        batch_size: most images at a time.
        device: where to compute.
    """
    batch_size = encoder_images_at_once(model.encoder, batch_size, device)
    if device.type != "cpu":
        return batch_size
    num_tasks = min(_FEWEST_TASKS, model.num_tasks)
    fitting = _room(device) // _bytes_per_task(model, torch.float32) // num_tasks
    return min(batch_size, max(1, fitting))


def inference_chunks(
    model: DAFormer,
    num_images: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
) -> TaskChunks:
    """Return how the decoder goes through the tasks without gradients.

    Args:
        model: the network.
        num_images: of one pass.
        device: where to compute.
        precision: type that autocast computes in.
    """
    return TaskChunks(_tasks_at_once(model, num_images, device, precision))


def training_chunks(
    model: DAFormer,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype,
    num_ranks: int = 1,
) -> TaskChunks:
    """Return how the decoder goes through the tasks in an optimisation step.

    On a GPU all at once, on a CPU as many as fit its cache; a few at a time and
    twice, where the activations would take more than half of the memory.

    Args:
        model: the network.
        batch_size: images of each rank's step.
        device: where to compute.
        precision: type that autocast computes in.
        num_ranks: processes; those on CPUs are taken to share one memory.
    """
    is_cpu = device.type == "cpu"
    memory = _memory(device) // (num_ranks if is_cpu else 1)
    needed = model.num_tasks * batch_size * _bytes_per_task(model, precision)
    at_once = _tasks_at_once(model, batch_size, device, precision)
    if needed <= memory // 2 or at_once >= model.num_tasks:
        return TaskChunks(at_once) if is_cpu else ALL_AT_ONCE
    _LOGGER.info(
        "the decoder's activations for %d tasks would take about %.1f of %.1f GiB: it "
        "works on %d tasks at a time and computes them twice",
        model.num_tasks,
        needed / 2**30,
        memory / 2**30,
        at_once,
    )
    return TaskChunks(at_once, recompute=True)


def _tasks_at_once(
    model: DAFormer, num_images: int, device: torch.device, precision: torch.dtype
) -> int:
    one = max(num_images, 1) * _bytes_per_task(model, precision)
    return max(_FEWEST_TASKS, _room(device) // one)


def _room(device: torch.device) -> int:
    """Bytes of activations to have at a time."""
    if device.type == "cpu":
        return max(_CPU_BYTES, _BYTES_PER_THREAD * torch.get_num_threads())
    return _memory(device) // _GPU_SHARE


def _bytes_per_task(model: DAFormer, precision: torch.dtype) -> int:
    """Activations of the decoder for one image and one task."""
    return model.decoder.bytes_per_task(model.encoder.num_tokens, precision.itemsize)


def _memory(device: torch.device) -> int:
    """Bytes of the device in all, which do not change from one run to the next."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    total = psutil.virtual_memory().total
    try:
        return min(total, int(_CONTAINER_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or one without a limit
        return total
