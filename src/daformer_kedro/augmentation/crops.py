"""Random rectangles of an image, and random resized crops."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NUM_ATTEMPTS = 10
_CROP_RATIO = (3 / 4, 4 / 3)


def draw_rectangles(
    num: int,
    shape: tuple[int, int],
    area: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attempts at a rectangle of random area and shape.

    Args:
        num: images.
        shape: height and width of an image.
        area: range of the share of the image.
        ratio: range of height over width.
        generator: on the images' device.

    Returns:
        Height and width (num, 10) int64 of ten attempts, and two uniform numbers
        (2, num) float64 for a place.
    """
    uniform = torch.rand(
        (num, 2 * _NUM_ATTEMPTS + 2),
        generator=generator,
        device=generator.device,
        dtype=torch.float64,
    )
    share, shape_draw, place = uniform.tensor_split(
        (_NUM_ATTEMPTS, 2 * _NUM_ATTEMPTS), dim=1
    )
    pixels = (area[0] + (area[1] - area[0]) * share) * (shape[0] * shape[1])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    slope = torch.exp(low + (high - low) * shape_draw)
    heights = torch.sqrt(pixels * slope).round().long()
    widths = torch.sqrt(pixels / slope).round().long()
    return heights, widths, place.T


def draw_crops(
    images: Tensor, area: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Boxes of a random resized crop (Szegedy et al., CVPR 2015).

    The area is uniform in its range and the logarithm of the aspect ratio uniform
    between those of 3/4 and 4/3. The first of ten attempts that fits is placed
    uniformly; where none fits, the largest central box of an allowed shape is taken.

    Returns:
        (4, B) int64: top, left, height, width.
    """
    height, width = images.shape[2:]
    heights, widths, place = draw_rectangles(
        len(images), (height, width), area, _CROP_RATIO, generator
    )
    fits = (heights <= height) & (widths <= width)
    fits &= (heights > 0) & (widths > 0)
    first = fits.to(torch.int8).argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1)
    central_height = min(height, round(width / _CROP_RATIO[0]))
    central_width = min(width, round(height * _CROP_RATIO[1]))
    box_height = torch.where(any_fits, heights.gather(1, first)[:, 0], central_height)
    box_width = torch.where(any_fits, widths.gather(1, first)[:, 0], central_width)
    top = (place[0] * (height - box_height + 1)).long()
    left = (place[1] * (width - box_width + 1)).long()
    top = torch.where(any_fits, top, (height - box_height) // 2)
    left = torch.where(any_fits, left, (width - box_width) // 2)
    return torch.stack((top, left, box_height, box_width))
