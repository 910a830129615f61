"""Soft targets, mixup and CutMix on a batch, on its device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from daformer_kedro.errors import InputError

_NUM_PROPOSALS = 32


def soft_targets(targets: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Targets with label smoothing (Szegedy et al., CVPR 2016).

    Args:
        targets: (B,) int64 classes.
        num_classes: classes C seen so far.
        smoothing: share s spread over all classes.

    Returns:
        (B, C) float32: s / C everywhere, and 1 - s more at the class.
    """
    shape, share = (len(targets), num_classes), smoothing / num_classes
    soft = torch.full(shape, share, dtype=torch.float32, device=targets.device)
    return soft.scatter_(1, targets[:, None], 1 - smoothing + share)


@dataclass(frozen=True)
class Mixed:
    """A batch after mixing.

    Attributes:
        images: (B, C, H, W) mixed images.
        targets: (B, num_classes) soft targets, mixed alike.
        weight: λ, the image's own share in its mixture, a float32 scalar on the
            device; the partner, image B - 1 - i for image i, has the rest.
        is_mixture: whether partners have a share at all.
    """

    images: Tensor
    targets: Tensor
    weight: Tensor
    is_mixture: bool = True

    def main_image(self, rows: Tensor) -> Tensor:
        """Position of the image that each sample shows most, (B,).

        Args:
            rows: (B,) positions of the batch's images.
        """
        if not self.is_mixture:
            return rows
        return torch.where(self.weight >= 0.5, rows, rows.flip(0))

    def sources(self, rows: Tensor) -> Tensor:
        """Positions of the S images that each sample is mixed from, (S, B).

        Args:
            rows: (B,) positions of the batch's images.
        """
        return torch.stack((rows, rows.flip(0))) if self.is_mixture else rows[None]


def sample_symmetric_beta(alpha: float, num: int, generator: torch.Generator) -> Tensor:
    """Draw from Beta(α, α): (num,) float64 on the generator's device.

    The share of one of two gamma variables in their sum. Each is the first accepted
    of 32 proposals for Gamma(α + 1) (Marsaglia and Tsang, 2000), of which more than
    95 in 100 are accepted, times U^(1/α). Written with tensors alone, because a draw
    on the host would hold up the device; in logarithms, because small α underflow.
    """
    device = generator.device
    options: dict[str, Any] = {
        "generator": generator,
        "device": device,
        "dtype": torch.float64,
    }
    normal = torch.randn((2, num, _NUM_PROPOSALS), **options)
    uniform = torch.rand((2, num, _NUM_PROPOSALS + 1), **options)
    log_uniform = torch.log1p(-uniform)
    mode = alpha + 1 - 1 / 3
    cube = (1 + normal / math.sqrt(9 * mode)) ** 3
    log_cube = torch.log(cube.clamp(min=1e-300))
    bound = normal.square() / 2 + mode * (1 - cube + log_cube)
    accepted = (cube > 0) & (log_uniform[..., 1:] < bound)
    first = accepted.to(torch.int8).argmax(dim=2, keepdim=True)
    logs = log_cube.gather(2, first)[..., 0] + log_uniform[..., 0] / alpha
    return torch.sigmoid(logs[0] - logs[1])


class Mixing:
    """Soft targets, and mixup or CutMix of each image with one of the same batch.

    mixup (Zhang et al., ICLR 2018) adds the images with one weight λ ~ Beta(α, α) a
    batch. CutMix (Yun et al., ICCV 2019) pastes one box per batch, of the share 1 - λ
    of the image before it is cut at the borders; λ is then the share that is left.
    Partners are the batch reversed. With both on, each batch takes one with
    equal chance. At α = 0 for both, only the targets are smoothed.

    Raises:
        InputError: for a parameter out of its range.
    """

    def __init__(
        self,
        mixup_alpha: float,
        cutmix_alpha: float,
        num_classes: int,
        smoothing: float,
    ) -> None:
        for name, alpha in (("mixup", mixup_alpha), ("cutmix", cutmix_alpha)):
            if not (alpha >= 0 and math.isfinite(alpha)):
                raise InputError(
                    f"augmentation.{name}_alpha = {alpha} must be 0 or positive"
                )
        if num_classes < 1:
            raise InputError(f"num_classes = {num_classes} must be at least 1")
        if not 0 <= smoothing < 1:
            raise InputError(f"label_smoothing = {smoothing} must be in [0, 1)")
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.num_classes = num_classes
        self.smoothing = smoothing

    def draw(self, num_batches: int, size: int, generator: torch.Generator) -> Tensor:
        """Draw how the batches of an epoch are mixed, all at once.

        Args:
            num_batches: N.
            size: side S of the images, in pixels.
            generator: source of λ, the boxes and the choice between the two.

        Returns:
            A row for each batch, (N, 2 L) float64: the partner's share of the pixel in
            row y and column x is the product of the numbers y and L + x. L is S with
            CutMix, 1 with mixup alone, and 0 without either.
        """
        if not (self.mixup_alpha or self.cutmix_alpha):
            return torch.empty((num_batches, 0), device=generator.device)
        boxes, blends = None, None
        if self.cutmix_alpha:
            boxes = _boxes(num_batches, size, self.cutmix_alpha, generator)
        if self.mixup_alpha:
            own = sample_symmetric_beta(self.mixup_alpha, num_batches, generator)
            length = 1 if boxes is None else size
            share = (1 - own)[:, None].expand(-1, length)
            blends = torch.cat((share, torch.ones_like(share)), dim=1)
        if boxes is None or blends is None:
            (only,) = (drawn for drawn in (boxes, blends) if drawn is not None)
            return only
        choice = torch.rand(
            (num_batches, 1), generator=generator, device=generator.device
        )
        return torch.where(choice < 0.5, boxes, blends)

    def __call__(self, images: Tensor, targets: Tensor, drawn: Tensor) -> Mixed:
        """Mix a batch.

        Args:
            images: (B, C, S, S), or without CutMix (B, N, W), floating-point.
            targets: (B,) int64.
            drawn: (2 L,) the batch's row of :meth:`draw`.
        """
        soft = soft_targets(targets, self.num_classes, self.smoothing)
        if not len(drawn):
            whole = torch.ones((), device=images.device)
            return Mixed(images, soft, whole, is_mixture=False)
        rows, columns = drawn.chunk(2)
        own = 1 - rows[:, None] * columns
        weight = own.mean().to(torch.float32)
        own = own.to(images.dtype)
        # exact where a share is 0 or 1, as within and without a pasted box
        mixed = torch.lerp(images.flip(0), images, own)
        return Mixed(mixed, torch.lerp(soft.flip(0), soft, weight), weight)


def _boxes(num: int, size: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Rows and columns of random boxes, 1 inside and 0 outside: (num, 2 size) float64.

    A box has the image's shape and its centre is uniform over the pixels; what reaches
    beyond the image is lost.
    """
    side = torch.sqrt(1 - sample_symmetric_beta(alpha, num, generator))
    device = generator.device
    centre = torch.rand(
        (num, 2, 1), generator=generator, device=device, dtype=torch.float64
    )
    length = (size * side).floor().view(-1, 1, 1)
    first = (centre * size).floor() - (length / 2).floor()
    pixel = torch.arange(size, device=device)
    inside = (pixel >= first) & (pixel < first + length)
    return inside.to(torch.float64).flatten(1)
