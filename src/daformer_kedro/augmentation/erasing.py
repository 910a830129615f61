"""Random erasing."""

from __future__ import annotations

import torch
from torch import Tensor

from daformer_kedro.augmentation.crops import draw_rectangles

_ERASED_AREA = (0.02, 1 / 3)
_ERASED_RATIO = (0.3, 1 / 0.3)


def random_erasing(
    images: Tensor, probability: float, generator: torch.Generator
) -> Tensor:
    """Replace a rectangle of each image by noise (Zhong et al., AAAI 2020).

    The rectangle has between 2 % and a third of the area and an aspect ratio between
    0.3 and 1 / 0.3; each of its pixels is standard normal, which is what normalised
    images are filled with in the ``pixel`` mode. Where ten attempts do not fit, the
    image stays.

    Args:
        images: (B, C, H, W) float32, normalised.
        probability: that an image is erased.
        generator: on the images' device.
    """
    num, _, height, width = images.shape
    device = images.device
    heights, widths, place = draw_rectangles(
        num, (height, width), _ERASED_AREA, _ERASED_RATIO, generator
    )
    fits = (heights < height) & (widths < width)
    first = fits.to(torch.int8).argmax(dim=1, keepdim=True)
    erased = fits.any(dim=1)
    erased &= torch.rand(num, generator=generator, device=device) < probability
    box_height, box_width = heights.gather(1, first), widths.gather(1, first)
    top = (place[0][:, None] * (height - box_height + 1)).long()
    left = (place[1][:, None] * (width - box_width + 1)).long()
    row = torch.arange(height, device=device)
    column = torch.arange(width, device=device)
    rows = (row >= top) & (row < top + box_height) & erased[:, None]
    columns = (column >= left) & (column < left + box_width)
    box = (rows[:, :, None] & columns[:, None])[:, None]
    noise = torch.randn(
        images.shape, generator=generator, device=device, dtype=images.dtype
    )
    return torch.where(box, noise, images)
