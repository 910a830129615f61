"""Images of a task: resident on the device, or files read ahead of need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import ImageArrays


@dataclass(frozen=True)
class TaskImages:
    """Images of one phase: resident on the device, or files read ahead of need.

    Attributes:
        images: (N, C, H, W) uint8, files of as many images, or tokens (N, n, W).
        targets: (N,) int64 on the device, positions in the class order.
    """

    images: Tensor | FileImages
    targets: Tensor

    @property
    def device(self) -> torch.device:
        """Device that the model trains on."""
        return self.targets.device

    @property
    def is_embedded(self) -> bool:
        """Return whether an encoder has embedded the images before."""
        return isinstance(self.images, Tensor) and self.images.is_floating_point()

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        if isinstance(self.images, FileImages):
            return self.images.image_size
        return self.images.shape[-1]

    def batches(
        self, rows: Sequence[Tensor], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Yield the images of each batch, (B, C, H, W) uint8 on the device.

        Args:
            rows: positions of each batch's images.
            generator: source of chance for files, of which another part is shown
                each time.
        """
        if isinstance(self.images, FileImages):
            for batch in self.images.random_batches(rows, generator):
                yield batch.to(self.device, non_blocking=True)
        else:
            for chosen in rows:
                yield self.images[chosen]


def select_images(
    images: ImageArrays | ImageFiles | EmbeddedImages,
    split: Literal["train", "test"],
    rows: pd.Series,
    area: tuple[float, float] | None = None,
) -> Tensor | FileImages:
    """Select some images of a split, to train on or to run a model on.

    Args:
        images: arrays, possibly memory maps of which only ``rows`` are read, files, or
            what an encoder made of either.
        split: ``train`` or ``test``.
        rows: positions in the split.
        area: of files, range of the share of an image that training shows; see
            :class:`~daformer_kedro.augmentation.file_images.FileImages`.

    Returns:
        (len(rows), C, H, W) uint8, files of as many images, or tokens
        (len(rows), N, W) float16.
    """
    if isinstance(images, EmbeddedImages):
        return torch.from_numpy(images.tokens(split, rows))
    if isinstance(images, ImageFiles):
        paths = images.train_paths if split == "train" else images.test_paths
        return FileImages(
            images.root,
            paths[rows.to_numpy()],
            image_size=images.image_size,
            resize=images.resize,
            area=area,
        )
    chosen = torch.from_numpy(np.ascontiguousarray(images.view(split, rows)))
    # A clone, since with one channel `contiguous` would keep the permuted strides.
    return chosen.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
