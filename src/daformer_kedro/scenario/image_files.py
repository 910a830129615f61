"""Images that stay files: an index, in memory without a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import eval_view, open_rgb

COPIES = "resized"
"""Name of the folder of smaller copies, next to the index."""


class LeftOut(NamedTuple):
    """Files below a source's folder that are not in its index.

    Attributes:
        skipped: path and reason of images that cannot be read.
        passed_over: number of other files, by suffix.
    """

    skipped: Sequence[tuple[str, str]]
    passed_over: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the values that JSON stores."""
        skipped = [{"file": file, "reason": why} for file, why in self.skipped]
        return {"skipped": skipped, "passed_over": dict(self.passed_over)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LeftOut:
        """Read what :meth:`to_json` returned."""
        skipped = [(entry["file"], entry["reason"]) for entry in values["skipped"]]
        return cls(skipped, values["passed_over"])


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Paths and labels of all images of a source.

    Attributes:
        root: absolute folder that the paths start from.
        train_paths: (N,) relative paths with forward slashes, of training images.
        train_labels: (N,) int64 in 0..num_classes - 1.
        train_bytes: (N,) int64, bytes of each image, by which a replaced one shows.
        test_paths: (M,) of test images.
        test_labels: (M,) int64.
        test_bytes: (M,) int64.
        class_names: one name per class, in label order.
        image_size: side S of the square that the network reads, in pixels.
        resize: short side of an image before the centre crop for testing.
        task_sizes: classes of each task, where folders arrive over time.
        cache_size: short side of the copies that ``root`` holds; ``None`` if it holds
            the images themselves.
        is_validation: (N,) bool, the training images that no task trains on, to make
            choices by; ``None`` where there are none.

    Raises:
        InputError: a class has no image in one of the two splits, or only validation
            images to train on.
    """

    root: Path
    train_paths: NDArray[np.str_]
    train_labels: NDArray[np.int64]
    train_bytes: NDArray[np.int64]
    test_paths: NDArray[np.str_]
    test_labels: NDArray[np.int64]
    test_bytes: NDArray[np.int64]
    class_names: tuple[str, ...]
    image_size: int
    resize: int
    task_sizes: tuple[int, ...] | None = None
    cache_size: int | None = None
    is_validation: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        trained = self.train_labels
        if self.is_validation is not None:
            trained = trained[~self.is_validation]
        for split, labels in (("train", trained), ("test", self.test_labels)):
            absent = absent_classes(labels, self.class_names)
            if absent:
                raise InputError(
                    f"{self.root}: no {split} image of {', '.join(absent[:10])}; every "
                    "class needs at least one to train and one to test"
                )

    @property
    def num_channels(self) -> int:
        """Channels of an image: files are read as RGB."""
        return 3

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def view(
        self, split: Literal["train", "test"], sample_index: Iterable[int]
    ) -> NDArray[np.uint8]:
        """Decode some images as for testing: (n, S, S, 3) uint8.

        Args:
            split: ``train`` or ``test``.
            sample_index: positions in the split.
        """
        paths = self.train_paths if split == "train" else self.test_paths
        chosen = paths[np.asarray(sample_index)]
        pixels = np.empty((len(chosen), self.image_size, self.image_size, 3), np.uint8)
        for place, path in enumerate(chosen):
            image = open_rgb(self.root / str(path))
            pixels[place] = eval_view(image, self.resize, self.image_size)
        return pixels

    def first_classes(self, num_classes: int) -> ImageFiles:
        """Return the images of the first classes alone, with the same sample indices.

        Images of a split must be in label order, as a stream of folders has them.
        """
        kept: dict[str, Any] = {}
        for split in ("train", "test"):
            end = int(np.searchsorted(getattr(self, f"{split}_labels"), num_classes))
            for name in (f"{split}_paths", f"{split}_labels", f"{split}_bytes"):
                kept[name] = getattr(self, name)[:end]
            if split == "train" and self.is_validation is not None:
                kept["is_validation"] = self.is_validation[:end]
        names = self.class_names[:num_classes]
        return replace(self, **kept, class_names=names, task_sizes=None)


def absent_classes(
    labels: NDArray[np.int64], class_names: tuple[str, ...]
) -> list[str]:
    """Return the names of the classes that no image is labelled with."""
    counts = np.bincount(labels, minlength=len(class_names))
    return [class_names[label] for label in np.flatnonzero(counts == 0)]
