"""Compiled parts of the network: those that repeat.

All encoder blocks, of student and teacher and of every task, run the same code on the
same shapes, and so do all tasks in the decoder, whose number is one of its sizes. So
the compiler makes a few kernel sequences and uses them for all.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer

_LOGGER = logging.getLogger(__name__)
_FEWEST_STEPS = 2_000  # at a millisecond won a step and seconds for each compilation
_MOST_KINDS = 64  # of input: with and without gradients, a residual's factors, sizes


def compile_parts(
    model: DAFormer,
    batch_size: int,
    autocast: AbstractContextManager[Any],
    *,
    trains: bool = True,
    backend: str | Callable[..., Any] = "inductor",
) -> bool:
    """Compile the parts of a model that repeat, in place, and try them once.

    Where the compiler does not work (no compiler for the device, an operation that it
    cannot translate), they stay as they are, and a warning is logged.

    Args:
        model: on the device that it trains on.
        batch_size: images of every batch to come.
        autocast: context that training computes in.
        trains: whether gradients are needed; not of a teacher.
        backend: of ``torch.compile``.

    Returns:
        Whether they are compiled; false where the encoder has none.
    """
    if not model.encoder.repeated_modules():
        # A pass to try the decoder alone would change the statistics of its batches.
        return False
    parts = _parts(model)
    for part in parts:
        part.compile(backend=backend)
    try:
        with warnings.catch_warnings(), torch.inference_mode(not trains), autocast:
            warnings.simplefilter("ignore")  # the compiler's own, of its inner workings
            with _in_mode(model, trains):
                _try_pass(model, batch_size)
    except Exception as error:
        for part in parts:
            part._compiled_call_impl = None
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


@contextmanager
def _in_mode(model: DAFormer, trains: bool) -> Iterator[None]:
    """Have the model train, as it will, or not."""
    before = model.training
    model.train(trains)
    try:
        yield
    finally:
        model.train(before)


def _parts(model: DAFormer) -> list[nn.Module]:
    return [*model.encoder.repeated_modules(), *model.decoder.repeated_modules()]


def _try_pass(model: DAFormer, batch_size: int) -> None:
    """Run the pass that trains, with stochastic depth, on black images."""
    device = model.device
    shape = (batch_size, model.in_channels, model.image_size, model.image_size)
    generator = torch.Generator(device).manual_seed(0)
    output = model(torch.zeros(shape, device=device), generator=generator)
    if output.logits.requires_grad:
        output.logits.float().sum().backward()


def is_compiled(model: DAFormer) -> bool:
    """Return whether the parts that repeat are compiled."""
    compiled = [part._compiled_call_impl is not None for part in _parts(model)]
    return bool(compiled) and all(compiled)


def wants_compilation(setting: str, device: torch.device) -> bool:
    """Resolve ``training.compile`` for a device.

    ``auto`` compiles on GPUs. On a CPU compiled blocks were hardly quicker and took a
    minute to compile, see docs/results/performance.md.
    """
    return setting == "auto" and device.type == "cuda"


def pays_off(num_steps: int) -> bool:
    """Return whether a phase of so many steps wins back what compiling takes."""
    return num_steps >= _FEWEST_STEPS


@contextmanager
def counted_compilations(phase: str) -> Iterator[None]:
    """Let nothing be compiled in the block unnoticed, nor left out unnoticed.

    PyTorch compiles again for every new kind of input, and from the ninth on it goes
    back to ordinary operations, for good, with a line in its own log. Here there is
    room for more kinds, and the end of it is an error.

    Args:
        phase: that trains in the block, for the warning.

    Raises:
        InputError: there were more kinds of input than anyone wants to wait for.
    """
    before = _num_compiled()
    try:
        with torch._dynamo.config.patch(
            recompile_limit=_MOST_KINDS, fail_on_recompile_limit_hit=True
        ):
            yield
    except torch._dynamo.exc.FailOnRecompileLimitHit as error:
        raise InputError(
            f"training.compile = auto: {phase} has compiled the network for more than "
            f"{_MOST_KINDS} kinds of input; allowed here: off"
        ) from error
    number = _num_compiled() - before
    if number:
        _LOGGER.warning(
            "%s compiled the network again while it trained (times: %d), which is "
            "slow; TORCH_LOGS=recompiles says why, training.compile=off does without",
            phase,
            number,
        )


def _num_compiled() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def uncompiled(model: DAFormer) -> AbstractContextManager[Any]:
    """Run a model's parts as they are in the block, as for images of another batch."""
    if not is_compiled(model):
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
