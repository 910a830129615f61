"""Generators for every use of chance, all derived from the run's one seed."""

from __future__ import annotations

import zlib

import numpy as np
import torch


def make_generator(
    seed: int, task: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator of its own for one purpose in one task.

    Independent streams, so that a change in one phase leaves the others as they were.

    Args:
        seed: the run's seed.
        task: number of the task, from 0.
        purpose: such as ``weights``, ``training`` or ``selection``.
        device: where the generator draws.
    """
    key = [seed, task, zlib.crc32(purpose.encode())]
    state = np.random.SeedSequence(key).generate_state(2, np.uint32)
    generator = torch.Generator(device=device)
    generator.manual_seed(int(state[0]) << 32 | int(state[1]))
    return generator
