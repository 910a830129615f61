"""The images of a source: as arrays, or as files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles, absent_classes


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """All images of a source with their labels; the arrays may be memory maps.

    Attributes:
        train_images: training images, (N, H, W, C) uint8 with H = W.
        train_labels: their labels, (N,) int64 in 0..num_classes - 1.
        test_images: test images, (M, H, W, C) uint8.
        test_labels: their labels, (M,) int64.
        class_names: one name per class, in label order.
        is_validation: (N,) bool, the training images that no task trains on, to make
            choices by; ``None`` where there are none.

    Raises:
        InputError: a shape, dtype or label is wrong, or a class has no image in
            one of the two splits (its accuracy could not be measured).
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    is_validation: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        _check_class_names(self.class_names)
        for split, images, labels in (
            ("train", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            _check_images(f"{split}_images", images)
            _check_labels(f"{split}_labels", labels, len(images), self.class_names)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InputError(
                f"test_images are {self.test_images.shape[1:]} (H, W, C), but "
                f"train_images are {self.train_images.shape[1:]}; they must agree"
            )

    def view(
        self, split: Literal["train", "test"], sample_index: Iterable[int]
    ) -> NDArray[np.uint8]:
        """Return some images of a split, (n, H, W, C) uint8; a map reads only these.

        Args:
            split: ``train`` or ``test``.
            sample_index: positions in the split.
        """
        images = self.train_images if split == "train" else self.test_images
        return np.asarray(
            images[np.asarray(sample_index)]
        )  # no map of what is in memory

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        return int(self.train_images.shape[1])

    @property
    def num_channels(self) -> int:
        """Channels of an image: 1 for grey, 3 for RGB."""
        return int(self.train_images.shape[3])

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


Images = ImageArrays | ImageFiles
"""What a source gives."""


def _check_class_names(class_names: tuple[str, ...]) -> None:
    if not class_names:
        raise InputError("class_names is empty; at least one class is needed")
    repeated = sorted({name for name in class_names if class_names.count(name) > 1})
    if repeated:
        raise InputError(f"class_names holds a name twice: {', '.join(repeated)}")


def _check_images(name: str, images: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8:
        raise InputError(f"{name} are {images.dtype}; they must be uint8")
    if images.ndim != 4 or images.shape[1] != images.shape[2] or 0 in images.shape:
        raise InputError(
            f"{name} have shape {images.shape}; it must be (N, H, W, C) with H = W "
            "and no axis empty"
        )


def _check_labels(
    name: str,
    labels: NDArray[np.int64],
    num_images: int,
    class_names: tuple[str, ...],
) -> None:
    if labels.dtype != np.int64:
        raise InputError(f"{name} are {labels.dtype}; they must be int64")
    if labels.shape != (num_images,):
        raise InputError(
            f"{name} have shape {labels.shape}; it must be ({num_images},), "
            "one label per image"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= len(class_names):
        raise InputError(
            f"{name} reach from {lowest} to {highest}; labels of "
            f"{len(class_names)} classes are 0..{len(class_names) - 1}"
        )
    absent = absent_classes(labels, class_names)
    if absent:
        raise InputError(
            f"{name}: no image of {_shortened(absent)}; every class needs at least one"
        )


def _shortened(names: list[str], limit: int = 10) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
