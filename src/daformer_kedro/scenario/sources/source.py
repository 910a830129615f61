"""Interface of a source of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig


@dataclass(frozen=True)
class SourceMetadata:
    """Metadata of a source before its ``classes`` setting and without its data.

    Attributes:
        class_names: names of all classes, in label order.
        image_size: side of the square images, in pixels.
        num_channels: channels of an image.
    """

    class_names: tuple[str, ...]
    image_size: int
    num_channels: int


class LabelledImages(NamedTuple):
    """Images (N, H, W, C) uint8 and their labels (N,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @classmethod
    def concatenated(cls, parts: Sequence[LabelledImages]) -> LabelledImages:
        """Return the images of all parts, in their order."""
        return cls(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )


class Source(Protocol):
    """A kind of source; a new one is one file and a line in ``SOURCES``.

    It may say under which terms its images are used, as text in ``licence``, for the
    cards of models.
    """

    def metadata(self, config: SourceConfig) -> SourceMetadata:
        """Return what is known without reading images."""

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Read training and test set, with all classes; labels as in ``metadata``.

        Where results are of validation images (``config.on_validation``), no file of
        test images is opened; the training set stands in for the test set.

        Raises:
            InputError: the data is missing or damaged.
        """
