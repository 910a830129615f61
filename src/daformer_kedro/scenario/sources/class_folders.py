"""Images in one folder a class: ``train/<class>/*.png`` and ``test/<class>/*.png``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.image_decoding import (
    ImageDecodingError,
    decode_rgb,
)
from daformer_kedro.scenario.sources.source import LabelledImages

_SUFFIXES = (".png", ".jpg", ".jpeg")


def has_class_folders(path: Path) -> bool:
    """Tell whether a folder ``train`` or ``test`` is there."""
    return (path / "train").is_dir() or (path / "test").is_dir()


def read_class_folders(
    path: Path, class_names: Sequence[str], image_size: int
) -> tuple[LabelledImages, LabelledImages]:
    """Read training and test set; rows go by class label, then by file name.

    Hidden entries and files that are no images by their suffix are passed over.

    Args:
        path: folder with ``train`` and ``test``.
        class_names: names of the class folders, in label order; not each must exist.
        image_size: side of the square images, in pixels.

    Raises:
        InputError: a split is missing or empty, a folder is no class or is empty, or
            an image is damaged or of another size.
    """
    for split in ("train", "test"):
        if not (path / split).is_dir():
            raise InputError(
                f"{path}: no folder {split}; both train and test are needed"
            )
    return (
        _read_split(path / "train", class_names, image_size),
        _read_split(path / "test", class_names, image_size),
    )


def _read_split(
    folder: Path, class_names: Sequence[str], image_size: int
) -> LabelledImages:
    present = {
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    }
    if not present:
        raise InputError(f"{folder}: holds no class folder")
    _check_names(folder, present, class_names)
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        if name in present:
            found = _image_files(folder / name)
            files += found
            labels += [label] * len(found)
    images = np.empty((len(files), image_size, image_size, 3), np.uint8)
    for row, file in enumerate(files):
        try:
            images[row] = decode_rgb(file.read_bytes(), image_size)
        except ImageDecodingError as error:
            raise InputError(f"{file}: image {error}") from error
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error}") from error
    return LabelledImages(images, np.array(labels, dtype=np.int64))


def _check_names(folder: Path, present: set[str], class_names: Sequence[str]) -> None:
    unknown = sorted(present - set(class_names))
    if unknown:
        close = difflib.get_close_matches(unknown[0], class_names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"{folder / unknown[0]}: is named after no class{hint}")


def _image_files(folder: Path) -> list[Path]:
    found = sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in _SUFFIXES and not entry.name.startswith(".")
    )
    if not found:
        raise InputError(f"{folder}: holds no image ({', '.join(_SUFFIXES)})")
    return found
