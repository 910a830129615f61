"""Small images in one folder per class: ``train/<class>/*`` and ``test/<class>/*``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daformer_kedro.errors import InputError, did_you_mean
from daformer_kedro.scenario.image_decoding import decode_square
from daformer_kedro.scenario.sources.class_tree import (
    LabelledPaths,
    class_folders,
    find_splits,
    list_split,
    say_counts,
    subfolders,
)
from daformer_kedro.scenario.sources.source import LabelledImages
from daformer_kedro.scenario.sources.split_folders import is_split

_LOGGER = logging.getLogger(__name__)


def has_class_folders(path: Path) -> bool:
    """Return whether there is a folder of training or test images."""
    return path.is_dir() and any(is_split(name) for name in subfolders(path))


def read_class_folders(
    path: Path, class_names: Sequence[str], image_size: int, *, with_test: bool = True
) -> tuple[LabelledImages, LabelledImages]:
    """Read training and test set; rows go by class label, then by file name.

    Args:
        path: folder with ``train`` and ``test``, or names of the same meaning.
        class_names: names of the class folders, in label order; not each must exist.
        image_size: side of the square images, in pixels.
        with_test: whether test images are read; training images stand in for them.

    Raises:
        InputError: a split is missing or empty, a folder is not a class or is empty, or
            an image is damaged or of another size.
    """
    splits = find_splits(path)
    if splits is None:
        raise InputError(f"{path}: both a folder train and a folder test are needed")
    for split in splits[:2]:
        _check_names(path / split, class_names)
    listed = [list_split(path, split, class_names) for split in splits[:2]]
    passed_over = listed[0][1] + listed[1][1]
    if passed_over:
        _LOGGER.warning("%s: passed over: %s", path, say_counts(passed_over))
    train = _decode(path, listed[0][0], image_size)
    return train, _decode(path, listed[1][0], image_size) if with_test else train


def _check_names(folder: Path, class_names: Sequence[str]) -> None:
    unknown = sorted(set(class_folders(folder)) - set(class_names))
    if unknown:
        hint = did_you_mean(unknown[0], class_names)
        raise InputError(f"{folder / unknown[0]}: is not the name of a class.{hint}")


def _decode(root: Path, files: LabelledPaths, image_size: int) -> LabelledImages:
    images = np.empty((len(files.paths), image_size, image_size, 3), np.uint8)
    for row, path in enumerate(files.paths.tolist()):
        file = root / path
        images[row] = decode_square(file, str(file), image_size)
    return LabelledImages(images, files.labels)
