"""Training images that are held out: they choose and calibrate before they are learnt.

Which images of a class these are depends on no other class.
"""

from __future__ import annotations

import torch
from torch import Tensor

ONE_IN = 5
"""One in so many training images of each class is held out."""
MOST_PER_CLASS = 20


def held_out(targets: Tensor, sample_index: Tensor) -> Tensor:
    """Mask (N,) of every fifth image of each class, by position in the source.

    Args:
        targets: (N,) classes.
        sample_index: (N,) positions in the source.
    """
    held = torch.zeros(len(targets), dtype=torch.bool)
    for target in targets.unique():
        places = (targets == target).nonzero()[:, 0]
        in_order = places[sample_index[places].argsort()]
        held[in_order[ONE_IN // 2 :: ONE_IN]] = True
    return held


def chosen_rows(targets: Tensor, sample_index: Tensor) -> Tensor:
    """Rows (K,) of held-out images, twenty of each class at most, evenly spread."""
    held = held_out(targets, sample_index)
    chosen = []
    for target in targets.unique():
        places = (held & (targets == target)).nonzero()[:, 0]
        in_order = places[sample_index[places].argsort()]
        num = min(len(in_order), MOST_PER_CLASS)
        chosen.append(in_order[torch.arange(num) * len(in_order) // max(1, num)])
    return torch.cat(chosen)
