"""The fifteen operations of RandAugment on batches of 8-bit images.

Each image has its own operation and its own argument; results follow Pillow's, level
by level for operations on values, and to rare single levels for geometric ones.
Images are (B, C, H, W) uint8 with one channel (grey) or three (RGB).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from daformer_kedro.augmentation.geometry import (
    affine,
    rotation_matrices,
    select,
    shift_rows,
    to_levels,
)
from daformer_kedro.augmentation.upload import upload

OPERATIONS = (
    "AutoContrast",
    "Equalize",
    "Invert",
    "Posterize",
    "Solarize",
    "SolarizeAdd",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "TranslateXRel",
    "ShearY",
    "TranslateYRel",
    "Rotate",
)
"""Names, as timm's; the place in this list is an operation's number."""

NO_OPERATION = len(OPERATIONS)

_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel so that it reaches from 0 to 255; flat ones stay."""
    low = images.amin(dim=(2, 3), keepdim=True).double()
    high = images.amax(dim=(2, 3), keepdim=True).double()
    flat = low == high
    # not 255.0 / span, which torch computes as a product with the reciprocal
    scale = torch.full_like(low, 255.0).div_((high - low).clamp(min=1))
    scale = torch.where(flat, 1.0, scale)
    offset = torch.where(flat, 0.0, -low * scale)
    return to_levels(images.double().mul_(scale).add_(offset))


def equalize(images: Tensor) -> Tensor:
    """Spread each channel's levels so that their histogram is even."""
    values = images.flatten(2).long()
    counts = values.new_zeros(*values.shape[:2], 256)
    counts.scatter_add_(2, values, torch.ones_like(values))
    num_pixels = values.shape[2]
    highest = values.amax(dim=2, keepdim=True)
    # pixels per level; 0 where one level holds nearly all of them, which then stay
    step = (num_pixels - counts.gather(2, highest)) // 255
    below = counts.cumsum(dim=2) - counts
    safe = step.clamp(min=1)
    table = ((safe // 2 + below) // safe).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.to(torch.uint8).gather(2, values).view(images.shape)


def change_values(images: Tensor, numbers: Tensor, arguments: Tensor) -> Tensor:
    """Invert, Posterize, Solarize and SolarizeAdd: arithmetic on single values.

    Values from a threshold on are inverted (all of them, for Invert); values below it
    grow by an addend; then only the highest bits stay.

    Args:
        images: (B, C, H, W) uint8.
        numbers: (B,) operation of each image.
        arguments: (B,) float64: bits to keep, threshold or addend.
    """
    whole = arguments.to(torch.int16)
    solarize = numbers == _NUMBER["Solarize"]
    adding = numbers == _NUMBER["SolarizeAdd"]
    posterize = numbers == _NUMBER["Posterize"]
    invert = numbers == _NUMBER["Invert"]
    threshold = torch.where(solarize, whole, 256).masked_fill(adding, 128)
    threshold = threshold.masked_fill(invert, 0).to(torch.int16)
    addend = torch.where(adding, whole, 0).to(torch.int16)
    change = torch.where(adding, 0, 255).to(torch.int16)
    dropped = torch.bitwise_left_shift(torch.ones_like(whole), (8 - whole).clamp(0, 8))
    kept = torch.where(posterize, 256 - dropped, 255).to(torch.int16)
    column = (-1, 1, 1, 1)
    levels = images.to(torch.int16)
    below = (levels - threshold.view(column)) >> 15  # all bits set, or none
    low = (levels + addend.view(column)).clamp_(max=255)
    high = levels ^ change.view(column)
    return select(below, low, high).bitwise_and_(kept.view(column)).to(torch.uint8)


def _luma(images: Tensor) -> Tensor:
    """ITU-R 601-2 luma as Pillow rounds it, (B, 1, H, W) int32; grey stays."""
    if images.shape[1] == 1:
        return images.int()
    red, green, blue = images.int().split(1, dim=1)
    return (red * 19595).add_(green * 38470).add_(blue * 7471).add_(0x8000) >> 16


def _smooth(images: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels with the middle one counted five times; borders stay."""
    result = images.float()
    if min(images.shape[2:]) < 3:
        return result
    levels = images.to(torch.int16)
    height, width = images.shape[2] - 2, images.shape[3] - 2
    columns = levels[..., :width] + levels[..., 1:-1] + levels[..., 2:]
    total = columns[..., :height, :] + columns[..., 1:-1, :] + columns[..., 2:, :]
    total += levels[..., 1:-1, 1:-1] * 4
    # a thirteenth is never halfway between two levels, so rounding is safe in float32
    result[..., 1:-1, 1:-1] = total.float().div_(13).round_()
    return result


def _blend(images: Tensor, degenerate: Tensor, factors: Tensor) -> Tensor:
    factor = factors.to(torch.float32).view(-1, 1, 1, 1)
    return to_levels((images.float() - degenerate).mul_(factor).add_(degenerate))


def enhance(images: Tensor, numbers: Tensor, arguments: Tensor) -> Tensor:
    """Color, Contrast and Brightness: blend with grey, its mean or black.

    A factor above 1 extrapolates. One channel has no colour, so Color leaves it.

    Args:
        images: (B, C, H, W) uint8.
        numbers: (B,) operation of each image.
        arguments: (B,) float64 factors: 0 is the degenerate image, 1 the image.
    """
    kind = numbers.view(-1, 1, 1, 1)
    luma = _luma(images)
    num_pixels = luma.shape[2] * luma.shape[3]
    total = luma.sum(dim=(2, 3), keepdim=True)
    mean = (2 * total + num_pixels) // (2 * num_pixels)  # half up
    level = (mean * (kind == _NUMBER["Contrast"])).float()
    grey = luma.float().mul_((kind == _NUMBER["Color"]).float())
    return _blend(images, grey.add_(level), arguments)


def sharpen(images: Tensor, factors: Tensor) -> Tensor:
    """Sharpness: blend with the smoothed image, by (B,) float64 factors."""
    return _blend(images, _smooth(images), factors)


def move_lines(
    images: Tensor, numbers: Tensor, arguments: Tensor, fill: Tensor
) -> Tensor:
    """ShearX, TranslateXRel, ShearY and TranslateYRel on square images.

    Vertical ones are carried out on the transposed images.

    Args:
        images: (B, C, H, W) uint8.
        numbers: (B,) operation of each image.
        arguments: (B,) float64: slope, or share of the side.
        fill: (C,) uint8.
    """
    size = images.shape[3]
    lines = torch.arange(size, device=images.device, dtype=torch.float64) + 0.5
    shear = (numbers == _NUMBER["ShearX"]) | (numbers == _NUMBER["ShearY"])
    shifts = torch.where(shear[:, None], lines, float(size)) * arguments[:, None]
    vertical = (numbers >= _NUMBER["ShearY"]).to(torch.uint8).neg_().view(-1, 1, 1, 1)
    images = select(vertical, images.transpose(2, 3).contiguous(), images)
    moved = shift_rows(images, shifts, fill)
    return select(vertical, moved.transpose(2, 3).contiguous(), moved)


def rotate(images: Tensor, degrees: Tensor, fill: Tensor) -> Tensor:
    """Rotate: turn counter-clockwise about the centre by (B,) float64 degrees."""
    return affine(images, rotation_matrices(degrees, *images.shape[2:]), fill)


_Family = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_FAMILIES: tuple[tuple[int, _Family], ...] = (
    (1, lambda images, numbers, arguments, fill: autocontrast(images)),
    (1, lambda images, numbers, arguments, fill: equalize(images)),
    (
        4,
        lambda images, numbers, arguments, fill: change_values(
            images, numbers, arguments
        ),
    ),
    (3, lambda images, numbers, arguments, fill: enhance(images, numbers, arguments)),
    (1, lambda images, numbers, arguments, fill: sharpen(images, arguments)),
    (4, move_lines),
    (1, lambda images, numbers, arguments, fill: rotate(images, arguments, fill)),
)
"""How many operations, in the order of their numbers, each function carries out."""


class Groups(NamedTuple):
    """Draws for a batch with the images of an operation side by side.

    Attributes:
        orders: (n + 1, B) int64, place of each image in the order before; the last one
            restores the batch's own order.
        numbers: (n, B) int64, sorted.
        arguments: (n, B) float64, in the same order.
        counts: images of each operation, n times.
    """

    orders: Tensor
    numbers: Tensor
    arguments: Tensor
    counts: list[list[int]]


def group_by_operation(numbers: Tensor, arguments: Tensor) -> Groups:
    """Sort draws by operation.

    Args:
        numbers: (n, B) int64 on the CPU; see :func:`apply_operations`.
        arguments: (n, B) float64.
    """
    place = torch.arange(numbers.shape[1])
    orders, sorted_numbers, sorted_arguments, counts = [], [], [], []
    for number, argument in zip(numbers, arguments, strict=True):
        ordered, order = number.index_select(0, place).sort(stable=True)
        place = place.index_select(0, order)
        orders.append(order)
        sorted_numbers.append(ordered)
        sorted_arguments.append(argument.index_select(0, place))
        counts.append(torch.bincount(ordered, minlength=NO_OPERATION + 1).tolist())
    orders.append(place.argsort())
    return Groups(
        torch.stack(orders),
        torch.stack(sorted_numbers),
        torch.stack(sorted_arguments),
        counts,
    )


def apply_operations(
    images: Tensor, numbers: Tensor, arguments: Tensor, fill: Tensor
) -> Tensor:
    """Apply to each image its operations, one after the other.

    Images are sorted by operation and each operation runs on its own images alone. How
    many those are is known from the draws, which lie on the host, so that a GPU need
    not be asked.

    Args:
        images: (B, C, H, W) uint8, on any device.
        numbers: (n, B) int64 on the CPU, places in ``OPERATIONS``, or ``NO_OPERATION``.
        arguments: (n, B) float64 on the CPU: degrees, bits, threshold, addend, factor,
            slope or share of the side, as the operation needs.
        fill: (C,) uint8, colour of pixels that come from outside the image; on the
            images' device.
    """
    groups = group_by_operation(numbers, arguments)
    orders, numbers, arguments = (upload(t, images.device) for t in groups[:3])
    for order, number, argument, counts in zip(
        orders[:-1], numbers, arguments, groups.counts, strict=True
    ):
        images = images.index_select(0, order)
        parts = []
        first = begin = 0
        for count, function in (*_FAMILIES, (1, None)):
            end = begin + sum(counts[first : first + count])
            part = images[begin:end]
            if end > begin and function is not None:
                part = function(part, number[begin:end], argument[begin:end], fill)
            parts.append(part)
            begin, first = end, first + count
        images = torch.cat(parts)
    return images.index_select(0, orders[-1])
