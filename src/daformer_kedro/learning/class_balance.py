"""Shares of the classes in an epoch, where classes have unequal numbers of images.

An image of a class of n images is drawn in proportion to n^(q - 1), so that the class
has a share in proportion to n^q: q = 1 is the data as it is, q = 1/2 square-root
sampling (Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV
2018), q = 0 class-balanced sampling; Kang et al., "Decoupling Representation and
Classifier for Long-Tailed Recognition", ICLR 2020, compare them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from daformer_kedro.learning.apportionment import apportion

EXPONENTS: Mapping[str, float] = {"none": 1.0, "sqrt": 0.5, "full": 0.0}
"""The exponent q of each value of ``training.class_balance``."""


def class_draws(class_balance: str, targets: Tensor) -> Tensor | None:
    """Return how many positions of each class an epoch draws.

    Args:
        class_balance: one of :data:`EXPONENTS`.
        targets: (N,) int64, classes of the samples.

    Returns:
        (C,) int64, N in all, on the device of the targets; ``None`` where every sample
        is drawn once.
    """
    exponent = EXPONENTS[class_balance]
    if exponent == 1:
        return None
    counts = torch.bincount(targets.cpu())
    there = counts > 0
    shares = counts[there].double() ** exponent
    draws = torch.zeros_like(counts)
    draws[there] = torch.tensor(apportion(len(targets), shares.tolist()))
    return draws.to(targets.device)


def image_weights(class_balance: str, targets: Tensor) -> Tensor | None:
    """Return the weight n^(q - 1) of each image; ``None`` where all weigh the same.

    For sums over images, which draw nothing.

    Args:
        class_balance: one of :data:`EXPONENTS`.
        targets: (N,) int64, all images of their classes.

    Returns:
        (N,) float64.
    """
    exponent = EXPONENTS[class_balance]
    if exponent == 1:
        return None
    counts = torch.bincount(targets).double()
    return counts[targets] ** (exponent - 1)


def draw_balanced(
    order: Tensor, targets: Tensor, draws: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw an epoch in which each class has its share.

    The images of a class are drawn equally often, up to one time, which chance alone
    gives to some. Nothing is drawn with replacement, so that the shares of the classes
    are the same in every epoch.

    Args:
        order: (N,) a shuffle of the positions.
        targets: (N,) int64, classes of the positions.
        draws: (C,) int64, of :func:`class_draws`.
        generator: shuffles what was drawn.

    Returns:
        (N,) positions, some of them several times.
    """
    classes = targets[order]
    by_class = classes.argsort(stable=True)  # keeps the shuffle within a class
    counts = torch.bincount(classes, minlength=len(draws))
    first = counts.cumsum(0) - counts
    sorted_classes = classes[by_class]
    place = torch.arange(len(order), device=order.device) - first[sorted_classes]
    per_class = counts.clamp(min=1)
    whole, rest = draws // per_class, draws % per_class
    copies = whole[sorted_classes] + (place < rest[sorted_classes])
    drawn = order[by_class].repeat_interleave(copies, output_size=len(order))
    shuffle = torch.randperm(len(drawn), generator=generator, device=order.device)
    return drawn[shuffle]
