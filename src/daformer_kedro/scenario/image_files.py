"""The images of a source, as files that are decoded when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import open_rgb, test_view
from daformer_kedro.scenario.images import check_class_names, check_labels


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images that stay files: an index of paths and labels.

    Attributes:
        root: absolute folder that the paths start from.
        train_paths: training files, (N,) relative POSIX paths.
        train_labels: their labels, (N,) int64 in 0..num_classes - 1.
        test_paths: test files, (M,) relative POSIX paths.
        test_labels: their labels, (M,) int64.
        class_names: one name a class, in label order.
        image_size: side of the network's input, in pixels.
        resize: short side of a test image before the centre is cut out, in pixels.
        skipped: "path: reason" of each file that was left out.

    Raises:
        InputError: a shape, dtype or label is wrong, ``resize`` is smaller than
            ``image_size``, or a class has no image in one of the two splits.
    """

    root: Path
    train_paths: NDArray[np.str_]
    train_labels: NDArray[np.int64]
    test_paths: NDArray[np.str_]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    image_size: int
    resize: int
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.root.is_absolute():
            raise InputError(f"root = {self.root} must be an absolute folder")
        if not 0 < self.image_size <= self.resize:
            raise InputError(
                f"preprocessing.resize = {self.resize} is smaller than "
                f"preprocessing.image_size = {self.image_size}; a test image must be "
                "at least as large as what is cut from it"
            )
        check_class_names(self.class_names)
        for split, paths, labels in (
            ("train", self.train_paths, self.train_labels),
            ("test", self.test_paths, self.test_labels),
        ):
            if paths.dtype.kind != "U" or paths.ndim != 1 or not len(paths):
                raise InputError(
                    f"{split}_paths are {paths.dtype} of shape {paths.shape}; they "
                    "must be at least one string in one axis"
                )
            check_labels(f"{split}_labels", labels, len(paths), self.class_names)

    @property
    def num_channels(self) -> int:
        """Channels of a decoded image: RGB, whatever the files hold."""
        return 3

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def view(
        self, split: Literal["train", "test"], rows: NDArray[np.integer] | list[int]
    ) -> NDArray[np.uint8]:
        """Decode images now, each as it is tested.

        Args:
            split: which split the rows count in.
            rows: (n,) rows of that split.

        Returns:
            (n, image_size, image_size, 3).

        Raises:
            InputError: a file is missing or damaged.
        """
        paths = self.train_paths if split == "train" else self.test_paths
        side = self.image_size
        views = np.empty((len(rows), side, side, 3), np.uint8)
        for position, row in enumerate(rows):
            image = open_rgb(self.root / str(paths[row]), least_side=self.resize)
            views[position] = test_view(image, self.resize, side)
        return views
