"""Batched resampling of 8-bit images, each image with its own map.

Everything here works on ``(B, C, H, W)`` uint8 tensors on any device and follows
Pillow's arithmetic: a pixel is a unit square with its centre at +0.5, the cubic
kernel has a = -1 for affine maps and a = -0.5 for resizing, taps beyond the border
repeat the border pixel, affine results are cut to whole levels and resized ones
rounded.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

Interpolation = Literal["bilinear", "bicubic"]


def _runs(flat: Tensor, starts: Tensor, length: int) -> Tensor:
    """Copy ``length`` neighbours from each start of a flat tensor: (num, length).

    Overlapping rows of a strided view are copied whole, which is many times faster
    than gathering single pixels (32 pixels at a time for a 32 x 32 image).
    """
    view = flat.as_strided((flat.numel() - length + 1, length), (1, 1))
    return view.index_select(0, starts.reshape(-1))


def _row_starts(images: Tensor, row_length: int) -> Tensor:
    """Offsets of the rows of images stored with rows of this length: (B, C, H)."""
    batch, channels, height, _ = images.shape
    rows = torch.arange(batch * channels * height, device=images.device)
    return rows.view(batch, channels, height) * row_length


def crop_with_padding(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Pad every side with zeros, then cut a window of the old size from each image.

    Args:
        images: (B, C, H, W) uint8.
        offsets: (2, B) int64, first row and first column of the window in the
            padded image, from 0 to ``2 * padding``.
        padding: pixels a side.
    """
    width = images.shape[3]
    padded = pad(images, (padding,) * 4)
    starts = _row_starts(padded, padded.shape[3])[:, :, : images.shape[2]]
    shift = offsets[0] * padded.shape[3] + offsets[1]
    starts = starts + shift.view(-1, 1, 1)
    return _runs(padded.view(-1), starts, width).view(images.shape)


def _cubic(taps: tuple[Tensor, Tensor, Tensor, Tensor], fraction: Tensor) -> Tensor:
    """Cubic convolution (Keys 1981) with a = -1 between the two middle taps.

    Written as a polynomial whose value is exact on constant taps and at fraction 0,
    because the result is cut to whole levels afterwards. Multiplication and addition
    stay apart: a fused kernel may round differently from one tensor shape to another.
    """
    first, second, third, fourth = taps
    rise = second - first
    cube = rise + (fourth - third)
    square = rise.add_(cube)  # the negative of the quadratic coefficient
    value = cube.mul(fraction).sub_(square).mul_(fraction)
    return value.add_(third - first).mul_(fraction).add_(second)


def _linear(taps: tuple[Tensor, Tensor], fraction: Tensor) -> Tensor:
    return (taps[1] - taps[0]).mul_(fraction).add_(taps[0])


def to_levels(values: Tensor) -> Tensor:
    """Cut float values to whole levels in [0, 255], as uint8; overwrites ``values``.

    On a CPU the way through int16 takes a quarter of the direct conversion.
    """
    return values.clamp_(0, 255).to(torch.int16).to(torch.uint8)


def select(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """``chosen`` where all bits of ``mask`` are set, and ``other`` where none is.

    Bit arithmetic on 8-bit images takes a third of ``torch.where`` on a CPU.
    """
    return (chosen ^ other).bitwise_and_(mask).bitwise_xor_(other)


def shift_rows(images: Tensor, shifts: Tensor, fill: Tensor) -> Tensor:
    """Move each row sideways by its own distance, with cubic interpolation.

    Args:
        images: (B, C, H, W) uint8.
        shifts: (B, H) float64; the pixel at x takes the value at x + shift.
        fill: (C,) uint8, colour of pixels whose source lies outside.
    """
    width = images.shape[3]
    # beyond one width the whole row is outside, however far it is moved
    shifts = shifts.clamp(-width - 1, width + 1)
    whole = shifts.floor()
    fraction = (shifts - whole).to(torch.float32)[:, None, :, None]
    # the rows above and below catch runs that begin or end outside the image
    rows = pad(images.to(torch.float32), (2, 2, 1, 1), mode="replicate")
    starts = _row_starts(rows, width + 4)[:, :, 1:-1] + (whole.long() + 1)[:, None]
    taps = _runs(rows.view(-1), starts, width + 3).view(*images.shape[:3], width + 3)
    first, second, third, fourth = (taps[..., i : i + width] for i in range(4))
    moved = to_levels(_cubic((first, second, third, fourth), fraction))
    # source x + 0.5 + shift in [0, width), as bounds on x
    low = (-0.5 - shifts).ceil().to(torch.int16)[:, None, :, None]
    high = (width - 0.5 - shifts).ceil().to(torch.int16)[:, None, :, None]
    x = torch.arange(width, device=images.device, dtype=torch.int16)
    inside = ((x - high) & (low - 1 - x)) >> 15
    return select(inside.to(torch.uint8), moved, fill.view(1, -1, 1, 1))


def _quads(images: Tensor) -> Tensor:
    """Every run of four horizontal neighbours as one int32: (B, C, H, W + 1).

    The run at x starts two pixels before x; borders are repeated. A pixel's taps in
    one row then cost a single look-up.
    """
    borders = (images[..., :1], images[..., -1:])
    rows = torch.cat((borders[0], borders[0], images, borders[1], borders[1]), dim=3)
    length = images.shape[3] + 1
    runs = torch.stack([rows[..., i : i + length] for i in range(4)], dim=-1)
    return runs.view(torch.int32).squeeze(-1)


def affine(
    images: Tensor,
    matrices: Tensor,
    fill: Tensor,
    interpolation: Interpolation = "bicubic",
) -> Tensor:
    """Resample each image through its own affine map, as Pillow's ``transform``.

    Args:
        images: (B, C, H, W) uint8.
        matrices: (B, 2, 3) float64, from an output point (x, y, 1) to its source.
        fill: (C,) uint8, colour of pixels whose source lies outside.
        interpolation: ``bilinear`` or ``bicubic``.
    """
    height, width = images.shape[2:]
    device = images.device
    y, x = (
        torch.arange(size, device=device, dtype=torch.float64) + 0.5
        for size in (height, width)
    )
    factors = matrices[..., None, None]
    source = factors[:, :, 0] * x + factors[:, :, 1] * y[:, None] + factors[:, :, 2]
    within = (source >= 0).all(dim=1, keepdim=True)
    inside = within & (source[:, :1] < width) & (source[:, 1:] < height)
    source -= 0.5
    corner = source.floor()
    fraction = (source - corner).to(torch.float32)
    cubic = interpolation == "bicubic"
    taps = _square_taps(images, corner.long(), cubic)
    fraction_x, fraction_y = fraction[:, None, 0], fraction[:, None, 1]
    spread = fraction_y[..., None].expand(taps[0].shape).contiguous()
    if cubic:
        columns = _cubic((taps[0], taps[1], taps[2], taps[3]), spread)
        first, second, third, fourth = columns.unbind(-1)
        values = _cubic((first, second, third, fourth), fraction_x)
    else:
        columns = _linear((taps[0], taps[1]), spread)
        values = _linear((columns[..., 1], columns[..., 2]), fraction_x)
    mask = inside.to(torch.uint8).neg_()
    return select(mask, to_levels(values), fill.view(1, -1, 1, 1))


def _square_taps(images: Tensor, corner: Tensor, cubic: bool) -> list[Tensor]:
    """Pixels around source points: 4 or 2 rows of (B, C, H, W, 4 columns) float32.

    Args:
        images: (B, C, H, W) uint8.
        corner: (B, 2, H, W) int64, column and row of the pixel up and left.
        cubic: four rows, from the one before; else two, from the pixel's own.
    """
    batch, channels, height, width = images.shape
    device = images.device
    bounds = (-1, 3) if cubic else (0, 2)
    steps = torch.arange(*bounds, device=device)
    row = (corner[:, 1] + steps.view(-1, 1, 1, 1)).clamp_(0, height - 1)
    place = row.mul_(width + 1).add_(corner[:, 0].clamp(-1, width - 1) + 1)
    planes = torch.arange(batch * channels, device=device) * (height * (width + 1))
    place = place[:, :, None] + planes.view(batch, channels, 1, 1)
    runs = _quads(images).view(-1).index_select(0, place.view(-1))
    rows = runs.view(torch.uint8).view(*place.shape, 4)
    # one by one: a single large result is paged in again each time on a CPU
    return [row.to(torch.float32) for row in rows]


def rotation_matrices(degrees: Tensor, height: int, width: int) -> Tensor:
    """Maps that turn images counter-clockwise about their centre: (B, 2, 3) float64.

    Args:
        degrees: (B,) float64.
        height: of the images, in pixels.
        width: of an image, in pixels.
    """
    zero, one = torch.zeros_like(degrees), torch.ones_like(degrees)
    return affine_matrices(degrees.neg(), (zero, zero), one, zero, height, width)


def affine_matrices(
    degrees: Tensor,
    translation: tuple[Tensor, Tensor],
    scale: Tensor,
    shear: Tensor,
    height: int,
    width: int,
) -> Tensor:
    """Inverse maps of "scale, shear, turn, move" about the image centre.

    Args:
        degrees: (B,) float64, clockwise rotation.
        translation: (B,) float64 each, pixels to the right and downwards.
        scale: (B,) float64 zoom factors.
        shear: (B,) float64 horizontal shear, degrees.
        height: of the images, in pixels.
        width: of an image, in pixels.

    Returns:
        (B, 2, 3) float64 maps from output points to source points.
    """
    angle = torch.deg2rad(degrees)
    slope = torch.tan(torch.deg2rad(shear))
    cos, sin = torch.cos(angle), torch.sin(angle)
    # the inverse of [[cos, -cos slope - sin], [sin, cos - sin slope]], whose
    # determinant is 1, divided by the zoom
    xx, xy = (cos - sin * slope) / scale, (cos * slope + sin) / scale
    yx, yy = -sin / scale, cos / scale
    back_x, back_y = width / 2 + translation[0], height / 2 + translation[1]
    x = width / 2 - xx * back_x - xy * back_y
    y = height / 2 - yx * back_x - yy * back_y
    return torch.stack((xx, xy, x, yx, yy, y), dim=1).view(-1, 2, 3)


def _resize_weights(start: Tensor, length: Tensor, size: int, out: int) -> Tensor:
    """Weights of a cubic resize of part of an axis: (B, out, size) float32.

    The kernel (a = -0.5) is widened when the part shrinks, so that it averages, and
    its weights are cut at the part's ends and add up to one.

    Args:
        start: (B,) first pixel of the part.
        length: (B,) its pixels.
        size: pixels of the whole axis.
        out: pixels after the resize.
    """
    scale = (length.double() / out).view(-1, 1, 1)
    target = torch.arange(out, device=start.device).double().view(1, -1, 1) + 0.5
    source = torch.arange(size, device=start.device).double().view(1, 1, -1) + 0.5
    first = start.double().view(-1, 1, 1)
    distance = (source - first - target * scale).abs() / scale.clamp(min=1)
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
    within = (source > first) & (source < first + length.double().view(-1, 1, 1))
    weights = weights * within
    return (weights / weights.sum(dim=2, keepdim=True)).float()


def resized_crop(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box from each image and resize it to a square, bicubic and antialiased.

    Args:
        images: (B, C, H, W) uint8.
        boxes: (4, B) int64: top, left, height, width.
        size: side of the result.

    Returns:
        (B, C, size, size) uint8. As in Pillow, columns are resized first and rounded
        to whole levels in between.
    """
    batch, channels, height, width = images.shape
    top, left, box_height, box_width = boxes
    across = _resize_weights(left, box_width, width, size)
    down = _resize_weights(top, box_height, height, size)
    rows = images.view(batch, channels * height, width).float()
    rows = torch.bmm(rows, across.transpose(1, 2)).round_().clamp_(0, 255)
    rows = rows.view(batch, channels, height, size)
    result = torch.matmul(down[:, None], rows).round_().clamp_(0, 255)
    return result.to(torch.uint8)
