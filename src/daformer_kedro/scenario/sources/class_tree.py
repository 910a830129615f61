"""Files in a folder a class, listed without reading them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""Files with other suffixes are passed over, and so are hidden ones."""

_TRAIN = "train"
_TESTS = ("test", "val")


class LabelledPaths(NamedTuple):
    """Relative paths (N,) and their labels (N,) int64, in label order."""

    paths: NDArray[np.str_]
    labels: NDArray[np.int64]


def find_splits(root: Path) -> tuple[str, str] | None:
    """Names of the folders of training and test images, if there are two.

    Raises:
        InputError: only one of the two is there, or ``root`` is no folder.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is no folder; images are looked for there")
    test = next((name for name in _TESTS if (root / name).is_dir()), None)
    has_train = (root / _TRAIN).is_dir()
    if has_train and test is not None:
        return _TRAIN, test
    if has_train:
        raise InputError(
            f"{root}: has a folder train and no folder test (or val); give both, or "
            "one folder a class and source.test_fraction"
        )
    if test is not None:
        raise InputError(
            f"{root}: has a folder {test} and no folder train; give both, or one "
            f"folder a class, none of them named {test}, and source.test_fraction"
        )
    return None


def list_classes(root: Path) -> tuple[str, ...]:
    """Names of the class folders, sorted.

    Raises:
        InputError: there is none, or a class is in one split only.
    """
    splits = find_splits(root)
    if splits is None:
        return _subfolders(root)
    first, second = splits
    train, test = _subfolders(root / first), _subfolders(root / second)
    for found, others, name, other in (
        (test, train, second, first),
        (train, test, first, second),
    ):
        alone = sorted(set(found) - set(others))
        if alone:
            raise InputError(
                f"{root / name / alone[0]}: class {alone[0]!r} is in {name} and not in "
                f"{other}; each class needs images in both"
            )
    return train


def _subfolders(folder: Path) -> tuple[str, ...]:
    try:
        with os.scandir(folder) as entries:
            names = [
                e.name for e in entries if e.is_dir() and not e.name.startswith(".")
            ]
    except OSError as error:
        _refuse_unlisted(error)
    if not names:
        raise InputError(f"{folder}: holds no class folder")
    _check_encoding(folder, names)
    return tuple(sorted(names))


def list_split(root: Path, split: str, class_names: Sequence[str]) -> LabelledPaths:
    """All images of ``root/split/<class>/``; rows go by label, then by name.

    Args:
        root: folder that the paths start from.
        split: folder of class folders; empty for ``root`` itself.
        class_names: class folders in label order.

    Raises:
        InputError: a class folder holds no image.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        folder = f"{split}/{name}" if split else name
        found = list_images(root / folder)
        if not found:
            raise InputError(f"{root / folder}: holds no image; remove it or fill it")
        paths += [f"{folder}/{file}" for file in found]
        labels += [label] * len(found)
    return LabelledPaths(np.array(paths, np.str_), np.array(labels, np.int64))


def list_images(folder: Path) -> list[str]:
    """Paths of the images in a folder and the folders below it, sorted.

    Raises:
        InputError: a folder cannot be listed, a name is not UTF-8, or a link leads
            back to a folder that it lies in.
    """
    found: list[str] = []
    walk = os.walk(folder, followlinks=True, onerror=_refuse_unlisted)
    for place, folders, files in walk:
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in folders:
            _refuse_circle(Path(place, name))
        images = [
            file
            for file in files
            if os.path.splitext(file)[1].lower() in SUFFIXES
            and not file.startswith(".")
        ]
        _check_encoding(Path(place), [*folders, *images])
        below = Path(place).relative_to(folder).as_posix()
        found += images if below == "." else [f"{below}/{file}" for file in images]
    return sorted(found)


def _refuse_unlisted(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from error


def _refuse_circle(folder: Path) -> None:
    if folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder}: is a link to a folder that it lies in; remove it")


def _check_encoding(folder: Path, names: Sequence[str]) -> None:
    """An index is stored as UTF-8, which other bytes in a name would break."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        wrong = next(n for n in names if os.fsencode(n) != n.encode(errors="replace"))
        raise InputError(
            f"{folder}: the name {os.fsencode(wrong)!r} is not UTF-8; rename it"
        ) from None


def hold_out(
    images: LabelledPaths, fraction: float, seed: int, prefix: str = ""
) -> tuple[LabelledPaths, LabelledPaths]:
    """Divide images into training and test images, class by class.

    A file's path alone says where it goes, so that files that come later move no
    other. Each class has at least one image on either side.

    Args:
        images: of all classes.
        fraction: share to hold out.
        seed: another seed gives another division.
        prefix: beginning of the paths that does not count.

    Raises:
        InputError: a class has a single image.
    """
    names = [str(path).removeprefix(prefix) for path in images.paths]
    keys = np.array([zlib.crc32(f"{seed}/{name}".encode()) for name in names])
    held = keys < fraction * 2**32
    for label in np.unique(images.labels):
        rows = np.flatnonzero(images.labels == label)
        if len(rows) < 2:
            raise InputError(
                f"{images.paths[rows[0]]}: is the only image of its class; at least "
                "two are needed, one of them to test"
            )
        if not held[rows].any():
            held[rows[keys[rows].argmin()]] = True
        if held[rows].all():
            held[rows[keys[rows].argmax()]] = False
    return (
        LabelledPaths(images.paths[~held], images.labels[~held]),
        LabelledPaths(images.paths[held], images.labels[held]),
    )
