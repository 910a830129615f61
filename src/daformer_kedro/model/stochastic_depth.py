"""Stochastic depth (Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch


class KeepFactors(NamedTuple):
    """Factors of the residuals in one pass: 0, or 1 over the probability to be kept.

    Attributes:
        blocks: (2, B) for each encoder block.
        decoder: (2, T, B).
    """

    blocks: Sequence[torch.Tensor | None]
    decoder: torch.Tensor | None


def keep_rates(drop_rate: float, num_blocks: int) -> torch.Tensor:
    """Return the probability that a residual is kept, (num_blocks + 1), decoder last.

    Args:
        drop_rate: of the decoder; it rises to this from 0, linearly.
        num_blocks: blocks of the encoder.
    """
    rates = torch.linspace(0, drop_rate, num_blocks + 1)
    rates[-1] = drop_rate  # also of an encoder without blocks
    return 1 - rates


def draw_keep(
    rates: torch.Tensor,
    num_tasks: int,
    batch: int,
    generator: torch.Generator,
    part: tuple[int, int] = (0, 1),
) -> KeepFactors:
    """Draw which residuals are kept.

    Each sample drops each residual on its own, in the decoder for each task too. One
    draw serves the whole pass.

    Args:
        rates: from :func:`keep_rates`, on the model's device.
        num_tasks: tasks T of the decoder.
        batch: images B of the pass.
        generator: source of the draw.
        part: number of this part of a batch, and how many equal parts it has. The draw
            is for the whole batch, the same in all parts.
    """
    num_blocks = len(rates) - 1
    number, num_parts = part
    draws = torch.rand(
        (num_blocks + num_tasks, 2, batch * num_parts),
        generator=generator,
        device=generator.device,
    )
    draws = draws[:, :, number * batch : (number + 1) * batch]
    of_rows = torch.cat((rates[:-1], rates[-1:].expand(num_tasks)))[:, None, None]
    keep = (draws.to(rates.device) < of_rows) / of_rows
    return KeepFactors(keep[:num_blocks].unbind(), keep[num_blocks:].transpose(0, 1))
