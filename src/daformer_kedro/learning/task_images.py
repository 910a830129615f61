"""Images of a task: resident on the device, or files read ahead of need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
        images: (N, C, H, W) uint8, files of as many images, or tokens: (N, n, W), or
            (N, V, n, W) of V versions of each, of which a batch shows one at random.
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

    def to_plain(self) -> dict[str, Any]:
        """Return plain values and CPU tensors, for :meth:`from_plain`."""
        targets = self.targets.cpu()
        if isinstance(self.images, FileImages):
            return {"files": self.images.to_plain(), "targets": targets}
        return {"images": self.images.cpu(), "targets": targets}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TaskImages:
        """Make what :meth:`to_plain` took apart, on the CPU."""
        files = plain.get("files")
        images = plain["images"] if files is None else FileImages.from_plain(files)
        return cls(images, plain["targets"])

    def to(self, device: torch.device) -> TaskImages:
        """Return the same on a device; files stay where they are."""
        images = self.images
        if isinstance(images, Tensor):
            images = images.to(device)
        return TaskImages(images, self.targets.to(device))

    def batches(
        self, rows: Sequence[Tensor], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Yield the images of each batch, (B, C, H, W) uint8 on the device.

        Args:
            rows: positions of each batch's images in the task's data.
            generator: source of chance for files, of which another part is shown
                each time, and for versions.
        """
        if isinstance(self.images, FileImages):
            for batch in self.images.random_batches(rows, generator):
                yield batch.to(self.device, non_blocking=True)
        elif self.is_embedded and self.images.ndim == 4:
            for chosen in rows:
                drawn = torch.randint(
                    self.images.shape[1],
                    (len(chosen),),
                    generator=generator,
                    device=self.images.device,
                )
                yield self.images[chosen, drawn]
        else:
            for chosen in rows:
                yield self.images[chosen]


def select_images(
    images: ImageArrays | ImageFiles | EmbeddedImages,
    split: Literal["train", "test"],
    sample_index: pd.Series,
    area: tuple[float, float] | None = None,
    *,
    all_views: bool = False,
) -> Tensor | FileImages:
    """Select some images of a split, to train on or to run a model on.

    Args:
        images: arrays, possibly memory maps of which only the chosen images are read,
            files, or what an encoder made of either.
        split: ``train`` or ``test``.
        sample_index: positions in the split.
        area: of files, range of the share of an image that training shows; see
            :class:`~daformer_kedro.augmentation.file_images.FileImages`.
        all_views: of training images whose tokens are stored, whether all versions
            are wanted.

    Returns:
        (N, C, H, W) uint8, files of as many images, or tokens (N, n, W) float16; of
        V > 1 versions (N, V, n, W).
    """
    if isinstance(images, EmbeddedImages):
        if all_views and images.num_views > 1:
            return torch.from_numpy(images.views(sample_index))
        return torch.from_numpy(images.tokens(split, sample_index))
    if isinstance(images, ImageFiles):
        paths = images.train_paths if split == "train" else images.test_paths
        return FileImages(
            images.root,
            paths[sample_index.to_numpy()],
            image_size=images.image_size,
            resize=images.resize,
            area=area,
        )
    chosen = torch.from_numpy(np.ascontiguousarray(images.view(split, sample_index)))
    # A clone, since with one channel `contiguous` would keep the permuted strides.
    return chosen.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
