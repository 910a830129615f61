"""Augmented versions of training images, for an encoder that stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.config import AugmentationConfig, PreprocessingConfig
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.task_images import TaskImages, select_images
from daformer_kedro.scenario.images import Images

_SEED = 0  # runs with other seeds share what is stored


def augmented_batches(
    images: Images,
    rows: range,
    view: int,
    config: AugmentationConfig,
    preprocessing: PreprocessingConfig,
    batch_size: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield one augmented version of some training images, in batches.

    What is drawn depends on the first row and the version's number alone.

    Args:
        images: the source.
        rows: positions among its training images.
        view: number of the version, from 1.
        config: the section ``augmentation``; of it, what changes pixels.
        preprocessing: normalisation.
        batch_size: images at a time.
        device: where to augment.

    Yields:
        (B, C, S, S) float32, normalised.
    """
    area = config.random_resized_crop
    chosen = select_images(images, "train", pd.Series(rows), area)
    if isinstance(chosen, FileImages):  # cropped as they are decoded
        config = replace(config, random_resized_crop=None)
    data = TaskImages(
        images=chosen.to(device) if isinstance(chosen, Tensor) else chosen,
        targets=torch.zeros(len(rows), dtype=torch.int64, device=device),
    )
    augmentation = Augmentation(
        config,
        image_size=images.image_size,
        preprocessing=preprocessing,
        device=device,
    )
    generator = make_generator(_SEED, view, f"views from {rows.start}", device)
    places = torch.arange(len(rows), device=device).split(batch_size)
    for pixels in data.batches(places, generator):
        yield augmentation(pixels, generator)
