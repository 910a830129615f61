"""Compiled encoder blocks: the part of the network that repeats.

All blocks, of student and teacher and of every task, run the same code on the same
shapes, so the compiler makes one kernel sequence and uses it for all.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from daformer_kedro.model import DAFormer

_LOGGER = logging.getLogger(__name__)
_refused: set[str | Callable[..., Any]] = set()


def compile_encoder(
    model: DAFormer,
    batch_size: int,
    autocast: AbstractContextManager[Any],
    *,
    trains: bool = True,
    backend: str | Callable[..., Any] = "inductor",
) -> bool:
    """Compile a model's encoder blocks in place, and try them once.

    Where the compiler does not work (no compiler for the device, an operation that it
    cannot translate), the blocks stay as they are, and a warning is logged once.

    Args:
        model: on the device that it trains on.
        batch_size: images of every batch to come.
        autocast: context that training computes in.
        trains: whether gradients are needed; not of a teacher.
        backend: of ``torch.compile``.

    Returns:
        Whether the blocks are compiled; false where the encoder has none.
    """
    if backend in _refused:
        return False
    blocks = model.encoder.repeated_modules()
    if not blocks:
        return False
    for block in blocks:
        block.compile(backend=backend)
    try:
        with warnings.catch_warnings(), torch.inference_mode(not trains), autocast:
            warnings.simplefilter("ignore")  # the compiler's own, of its inner workings
            _try_encoder(model, batch_size)
    except Exception as error:
        _refused.add(backend)
        for block in blocks:
            block._compiled_call_impl = None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        _LOGGER.warning(
            "torch.compile does not work here, training continues without it (to be "
            "silent: training.compile=off): %s",
            reason,
        )
        return False
    finally:
        model.zero_grad(set_to_none=True)
    return True


def _try_encoder(model: DAFormer, batch_size: int) -> None:
    """Run the pass that trains, with stochastic depth, on black images."""
    device = model.device
    shape = (batch_size, model.in_channels, model.image_size, model.image_size)
    generator = torch.Generator(device).manual_seed(0)
    keep = model.stochastic_depth(batch_size, model.num_tasks, generator)
    tokens = model.encoder(torch.zeros(shape, device=device), keep.blocks)[-1]
    if tokens.requires_grad:
        tokens.float().sum().backward()


def is_compiled(model: DAFormer) -> bool:
    """Return whether the encoder's repeated blocks are compiled."""
    blocks = model.encoder.repeated_modules()
    compiled = [block._compiled_call_impl is not None for block in blocks]
    return bool(compiled) and all(compiled)


def wants_compilation(setting: str, device: torch.device) -> bool:
    """Resolve ``training.compile`` for a device.

    ``auto`` compiles on GPUs. On a CPU compiled blocks were hardly quicker and took a
    minute to compile, see docs/results/performance.md.
    """
    return setting == "auto" and device.type == "cuda"
