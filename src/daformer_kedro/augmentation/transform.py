"""Augmentation and normalisation of whole batches, on the device of the images.

The order of operations is that of the published recipe: crop, flip, affine map and
RandAugment on 8-bit images, then normalisation, then erasing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from daformer_kedro.augmentation.crops import draw_crops
from daformer_kedro.augmentation.erasing import random_erasing
from daformer_kedro.augmentation.geometry import (
    affine,
    affine_matrices,
    crop_with_padding,
    resized_crop,
)
from daformer_kedro.augmentation.rand_augment import RandAugment, parse_policy
from daformer_kedro.config import (
    AugmentationConfig,
    PreprocessingConfig,
    RandomAffineConfig,
)
from daformer_kedro.errors import InputError

# What is augmented at once: hundreds of small operations cost as much to start for a
# batch of 32 x 32 images as for sixteen. Changing it changes what is drawn.
_PIXELS_AT_ONCE = 2**21


def normalise(images: Tensor, preprocessing: PreprocessingConfig) -> Tensor:
    """Map levels to ``(x / 255 - mean) / std`` of their channel.

    Args:
        images: (B, C, H, W) uint8.
        preprocessing: mean and deviation, one number per channel.

    Returns:
        (B, C, H, W) float32.

    Raises:
        InputError: when the numbers of channels differ.
    """
    _check_channels(images, preprocessing)
    scale, offset = _normalisation(preprocessing, images.device)
    return _normalised(images, scale, offset)


def _check_channels(images: Tensor, preprocessing: PreprocessingConfig) -> None:
    if images.shape[1] != len(preprocessing.mean):
        raise InputError(
            f"preprocessing.mean = {list(preprocessing.mean)} has "
            f"{len(preprocessing.mean)} channels and the images have "
            f"{images.shape[1]}; give one number per channel"
        )


def _normalisation(
    preprocessing: PreprocessingConfig, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Scale and offset that normalise levels, (C, 1, 1) float32 each."""
    mean = torch.tensor(preprocessing.mean, dtype=torch.float64)
    std = torch.tensor(preprocessing.std, dtype=torch.float64)
    scale, offset = 1 / (255 * std), -mean / std
    return tuple(t.float().view(-1, 1, 1).to(device) for t in (scale, offset))  # type: ignore[return-value]


def _normalised(images: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    return images.to(torch.float32).mul_(scale).add_(offset)


def _check_config(config: AugmentationConfig) -> None:
    """Check what the settings cannot check key by key."""
    area = config.random_resized_crop
    if area is not None and config.crop_padding:
        raise InputError(
            f"augmentation.crop_padding = {config.crop_padding} and "
            f"augmentation.random_resized_crop = {list(area)}: set only one; "
            "0 and null turn them off"
        )
    if area is not None and not 0 < area[0] <= area[1]:
        raise InputError(
            f"augmentation.random_resized_crop = {list(area)} must be a smallest and a "
            "largest share of the image's area, above 0"
        )
    scale = config.random_affine.scale if config.random_affine else (1.0, 1.0)
    if scale[0] > scale[1]:
        raise InputError(
            f"augmentation.random_affine.scale = {list(scale)} must begin with the "
            "smaller factor"
        )


class Augmentation:
    """The random transform of training images, built once a task.

    Args:
        config: which operations, and how strong.
        image_size: side S of the result.
        preprocessing: normalisation, one number per channel.
        device: of images and generators.

    Raises:
        InputError: for a policy string that cannot be read, for a range that is empty
            or reversed, and for two kinds of crop at once.
    """

    def __init__(
        self,
        config: AugmentationConfig,
        *,
        image_size: int,
        preprocessing: PreprocessingConfig,
        device: torch.device | str,
    ) -> None:
        _check_config(config)
        self.config = config
        self.image_size = image_size
        self.preprocessing = preprocessing
        self.device = torch.device(device)
        self._rand_augment = (
            RandAugment(
                parse_policy(config.rand_augment), preprocessing.mean, self.device
            )
            if config.rand_augment is not None
            else None
        )
        self._black = torch.zeros(
            len(preprocessing.mean), dtype=torch.uint8, device=self.device
        )
        self._scale, self._offset = _normalisation(preprocessing, self.device)

    def __call__(
        self,
        images: Tensor,
        generator: torch.Generator,
        host_generator: torch.Generator | None = None,
    ) -> Tensor:
        """Augment and normalise a batch.

        Args:
            images: (B, C, H, W) uint8; S x S unless there is a random resized crop.
            generator: source of draws, on the images' device. Equal states give
                results that are equal to the bit.
            host_generator: source of the draws that the host has to know, on the CPU;
                on a CPU the same one by default.

        Returns:
            (B, C, S, S) float32.

        Raises:
            InputError: when the images' size or channels do not fit.
        """
        self._check(images)
        # hundreds of small operations, each a little quicker without autograd;
        # normalisation, outside, makes an ordinary tensor of their result
        with torch.inference_mode():
            images = self._augment_levels(
                images, generator, host_generator or generator
            )
        result = _normalised(images, self._scale, self._offset)
        if self.config.random_erasing:
            result = random_erasing(result, self.config.random_erasing, generator)
        return result

    def batches(
        self,
        batches: Iterable[Tensor],
        generator: torch.Generator,
        host_generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """Augment and normalise batches, as many small ones at a time as pay off.

        Args:
            batches: (B, C, H, W) uint8 each, of one image size.
            generator: see :meth:`__call__`; drawn from for a group of batches before
                the first of them is yielded.
            host_generator: see :meth:`__call__`.

        Yields:
            (B, C, S, S) float32, a batch for each of ``batches``.
        """
        ahead = iter(batches)
        for first in ahead:
            size = max(first[:, 0].numel(), 1)
            group = [first, *islice(ahead, max(1, _PIXELS_AT_ONCE // size) - 1)]
            augmented = self(torch.cat(group), generator, host_generator)
            yield from augmented.split([len(batch) for batch in group])

    def _augment_levels(
        self,
        images: Tensor,
        generator: torch.Generator,
        host_generator: torch.Generator,
    ) -> Tensor:
        config = self.config
        images = self._crop(images, generator)
        if config.horizontal_flip:
            images = random_flip(images, config.horizontal_flip, generator)
        if config.random_affine is not None:
            images = random_affine(images, config.random_affine, self._black, generator)
        if self._rand_augment is not None:
            images = self._rand_augment(images, host_generator)
        return images

    def _check(self, images: Tensor) -> None:
        _check_channels(images, self.preprocessing)
        size = (self.image_size, self.image_size)
        if self.config.random_resized_crop is None and images.shape[2:] != size:
            raise InputError(
                f"augmentation.random_resized_crop is null and the images are "
                f"{images.shape[2]} x {images.shape[3]}; without it they must be "
                f"{size[0]} x {size[1]}"
            )

    def _crop(self, images: Tensor, generator: torch.Generator) -> Tensor:
        config = self.config
        if config.random_resized_crop is not None:
            boxes = draw_crops(images, config.random_resized_crop, generator)
            return resized_crop(images, boxes, self.image_size)
        if not config.crop_padding:
            return images
        offsets = torch.randint(
            2 * config.crop_padding + 1,
            (2, len(images)),
            generator=generator,
            device=images.device,
        )
        return crop_with_padding(images, offsets, config.crop_padding)


def random_flip(
    images: Tensor, probability: float, generator: torch.Generator
) -> Tensor:
    """Mirror each image left to right with this probability.

    Args:
        images: (B, C, H, W) uint8.
        probability: that an image is mirrored.
        generator: on the images' device.
    """
    uniform = torch.rand(len(images), generator=generator, device=images.device)
    num = len(images)
    place = torch.arange(num, device=images.device) + num * (uniform < probability)
    return torch.cat((images, images.flip(3))).index_select(0, place)


def random_affine(
    images: Tensor,
    config: RandomAffineConfig,
    fill: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Turn, move, zoom and shear each image at random, bilinear.

    Every quantity is uniform in its range and each image has its own; shifts are
    fractions of pixels too.

    Args:
        images: (B, C, H, W) uint8.
        config: the ranges.
        fill: (C,) uint8, colour of what comes from outside.
        generator: on the images' device.
    """
    height, width = images.shape[2:]
    uniform = torch.rand(
        (5, len(images)), generator=generator, device=images.device, dtype=torch.float64
    )
    degrees, x, y, shear = uniform[:4] * 2 - 1
    low, high = config.scale
    matrices = affine_matrices(
        degrees * config.degrees,
        (x * (config.translate * width), y * (config.translate * height)),
        low + (high - low) * uniform[4],
        shear * config.shear,
        height,
        width,
    )
    return affine(images, matrices, fill, "bilinear")
