"""Samples that one epoch visits, in their order."""

from __future__ import annotations

import torch
from torch import Tensor

from daformer_kedro.learning.class_balance import draw_balanced

_REPEATED_MULTIPLE = 256


def epoch_batches(
    num_samples: int,
    batch_size: int,
    repeats: int,
    generator: torch.Generator,
    draws: Tensor | None = None,
    targets: Tensor | None = None,
) -> list[Tensor]:
    """Positions of one epoch, batch by batch.

    With ``repeats`` above 1 this is repeated augmentation (Hoffer et al., CVPR 2020) as
    DeiT samples it: the shuffled positions come ``repeats`` times in a row, and the
    list is cut to the largest multiple of 256 not above ``num_samples``, so that an
    epoch stays as long as the data and sees a random part of it several times. Fewer
    than 256 samples are cut to ``num_samples``. The last incomplete batch is dropped,
    unless it is the only one.

    Args:
        num_samples: samples of the task.
        batch_size: positions per batch.
        repeats: how often a position comes in a row.
        generator: source of the shuffle; its device is where the batches lie.
        draws: (C,) int64, positions of each class in one epoch, ``num_samples`` in all;
            see :mod:`~daformer_kedro.learning.class_balance`. ``None`` draws every
            position once.
        targets: (num_samples,) classes of the positions, needed for ``draws``.

    Returns:
        Batches of ``batch_size`` positions; one smaller batch if that is all.
    """
    device = generator.device
    order = torch.randperm(num_samples, generator=generator, device=device)
    if draws is not None and targets is not None:
        order = draw_balanced(order, targets, draws, generator)
    if repeats > 1:
        length = num_samples // _REPEATED_MULTIPLE * _REPEATED_MULTIPLE or num_samples
        order = order.repeat_interleave(repeats)[:length]
    if len(order) < batch_size:
        return [order]
    num_batches = len(order) // batch_size
    return list(order[: num_batches * batch_size].split(batch_size))
