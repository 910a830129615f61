"""Stochastic depth (Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn


class KeepFactors(NamedTuple):
    """Factors of the residuals in one pass: 0, or 1 over the probability to be kept.

    Attributes:
        blocks: (2, B) for each encoder block.
        decoder: (2, T, B).
    """

    blocks: Sequence[torch.Tensor | None]
    decoder: torch.Tensor | None


class StochasticDepth(nn.Module):
    """Draws which residuals a pass keeps.

    Args:
        drop_rate: of the decoder; it rises to this from 0, linearly.
        num_blocks: blocks of the encoder.
    """

    keep_rates: torch.Tensor  # (num_blocks + 1), decoder last
    _rates: torch.Tensor

    def __init__(self, drop_rate: float, num_blocks: int) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.num_blocks = num_blocks
        rates = torch.linspace(0, drop_rate, num_blocks + 1)
        rates[-1] = drop_rate  # also of an encoder without blocks
        self.register_buffer("keep_rates", 1 - rates, persistent=False)
        self.register_buffer("_rates", torch.empty(0), persistent=False)

    def forward(
        self,
        batch: int,
        num_tasks: int,
        generator: torch.Generator | None,
        part: tuple[int, int] = (0, 1),
    ) -> KeepFactors:
        """Draw the residuals' factors of a pass; all are kept in evaluation mode.

        Each sample drops each residual on its own, in the decoder for each task too.
        One draw serves the whole pass.

        Args:
            batch: images B of the pass.
            num_tasks: tasks T of the decoder.
            generator: source of the draw; needed in training mode alone.
            part: number of this part of a batch, and how many equal parts it has. The
                draw is for the whole batch, the same in all parts.

        Raises:
            ValueError: the generator is missing.
        """
        if not self.training or self.drop_rate == 0:
            return KeepFactors([None] * self.num_blocks, None)
        if generator is None:
            raise ValueError(
                "forward needs a generator in training mode, for model.stochastic_depth"
                f" = {self.drop_rate}"
            )
        number, num_parts = part
        draws = torch.rand(
            (self.num_blocks + num_tasks, 2, batch * num_parts),
            generator=generator,
            device=generator.device,
        )
        draws = draws[:, :, number * batch : (number + 1) * batch]
        rates = self._rates_of(num_tasks)
        keep = (draws.to(rates.device) < rates) / rates
        blocks, decoder = keep[: self.num_blocks], keep[self.num_blocks :]
        return KeepFactors(blocks.unbind(), decoder.transpose(0, 1))

    def _rates_of(self, num_tasks: int) -> torch.Tensor:
        """Return the rates of all blocks, then of the decoder for each task."""
        rates = self.keep_rates
        if len(self._rates) != self.num_blocks + num_tasks:
            of_decoder = rates[-1:].expand(num_tasks)
            self._rates = torch.cat((rates[:-1], of_decoder))[:, None, None]
        return self._rates
