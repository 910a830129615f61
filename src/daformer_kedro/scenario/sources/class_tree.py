"""Listing of files in one folder per class, without reading them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_formats import is_image_name, suffix_of
from daformer_kedro.scenario.sources.split_folders import (
    Splits,
    is_split,
    is_training,
    pair_splits,
)


class LabelledPaths(NamedTuple):
    """Relative paths (N,) and their labels (N,) int64, in label order."""

    paths: NDArray[np.str_]
    labels: NDArray[np.int64]

    @classmethod
    def none(cls) -> LabelledPaths:
        """Return an empty list of paths."""
        return cls(np.array([], np.str_), np.array([], np.int64))


class FolderListing(NamedTuple):
    """Relative paths of images, and numbers of other files by suffix."""

    images: list[str]
    passed_over: Counter[str]


def find_splits(root: Path) -> Splits | None:
    """Find the folders of training and test images, if there are two.

    Raises:
        InputError: only one of the two is there, or several may be meant, or ``root``
            is not a folder.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder; images are expected there")
    folders = subfolders(root)
    try:
        splits = pair_splits(folders)
    except InputError as error:
        raise InputError(f"{root}: {error}") from error
    alone = [name for name in folders if is_split(name)]
    if splits is None and alone:
        # Beside classes, a folder of images may be a class of that name.
        name = next((n for n in alone if subfolders(root / n)), None)
        if name is not None or len(alone) == len(folders):
            _refuse_alone(root, name or alone[0])
    return splits


def _refuse_alone(root: Path, name: str) -> NoReturn:
    other = "test (or val)" if is_training(name) else "train"
    raise InputError(
        f"{root}: has a folder {name} and no folder {other}; give both, or one folder "
        f"per class, none named {name}, and source.test_fraction"
    )


def list_classes(root: Path) -> tuple[str, ...]:
    """List the names of the classes, sorted, as :func:`class_name` writes them.

    Raises:
        InputError: there is no class folder, a class is in one split only (there need
            be no validation images), or a folder that would be a class holds training
            and test images.
    """
    splits = find_splits(root)
    if splits is None:
        names = class_folders(root)
        _refuse_nested_splits(root, names)
        return tuple(sorted(names))
    train, test = (class_folders(root / split) for split in splits[:2])
    for found, others, name, other in (
        (test, train, splits.test, splits.train),
        (train, test, splits.train, splits.test),
    ):
        alone = sorted(set(found) - set(others))
        if alone:
            raise InputError(
                f"{root / name / alone[0]}: class {alone[0]!r} is in {name} and not in "
                f"{other}; each class needs images in both"
            )
    if splits.validation is not None:
        unknown = sorted(set(class_folders(root / splits.validation)) - set(train))
        if unknown:
            raise InputError(
                f"{root / splits.validation / unknown[0]}: class {unknown[0]!r} is in "
                f"{splits.validation} and not in {splits.train}"
            )
    return tuple(sorted(train))


def _refuse_nested_splits(root: Path, names: Mapping[str, Sequence[str]]) -> None:
    for folder in (folder for folders in names.values() for folder in folders):
        try:
            inner = pair_splits(subfolders(root / folder))
        except InputError as error:
            raise InputError(f"{root / folder}: {error}") from error
        if inner is not None:
            raise InputError(
                f"{root / folder}: holds {inner.train} and {inner.test}, so it is "
                f"not a class; give source.path={root / folder}, or lay out all "
                "classes as train/<class> and test/<class>"
            )


def class_name(folder: str) -> str:
    """Return a folder's name as a class name, in composed characters (Unicode's NFC).

    The same name may be written in two ways, which look alike: with an é, or with an e
    and an accent, as some computers do.
    """
    return unicodedata.normalize("NFC", folder)


def class_folders(folder: Path) -> dict[str, list[str]]:
    """Return the folders of each class; several where a name has several spellings.

    Raises:
        InputError: there is no class folder, or a name is not UTF-8.
    """
    found: dict[str, list[str]] = {}
    for name in subfolders(folder):
        found.setdefault(class_name(name), []).append(name)
    if not found:
        raise InputError(f"{folder}: has no class folder")
    return found


def subfolders(folder: Path) -> list[str]:
    """List the names of the folders in a folder, sorted, without hidden ones.

    Raises:
        InputError: it cannot be listed, or a name is not UTF-8.
    """
    try:
        with os.scandir(folder) as entries:
            names = [
                e.name for e in entries if e.is_dir() and not e.name.startswith(".")
            ]
    except OSError as error:
        _refuse_unlisted(error)
    _check_encoding(folder, names)
    return sorted(names)


def list_split(
    root: Path, split: str, class_names: Sequence[str]
) -> tuple[LabelledPaths, Counter[str]]:
    """List all images of ``root/split/<class>/``, by label, then by name.

    Args:
        root: folder that the paths start from.
        split: folder of class folders; empty for ``root`` itself.
        class_names: classes in label order; not each must have a folder.

    Returns:
        The images, and how many files of other suffixes were passed over.

    Raises:
        InputError: a class folder has no image.
    """
    folders_of = class_folders(root / split)
    paths: list[str] = []
    labels: list[int] = []
    passed_over: Counter[str] = Counter()
    for label, name in enumerate(class_names):
        for part in folders_of.get(name, ()):
            folder = f"{split}/{part}" if split else part
            found = list_images(root / folder)
            passed_over += found.passed_over
            if not found.images:
                raise InputError(
                    f"{root / folder}: has no image; remove it or fill it"
                    f"{_counted(found.passed_over)}"
                )
            paths += [f"{folder}/{file}" for file in found.images]
            labels += [label] * len(found.images)
    images = LabelledPaths(np.array(paths, np.str_), np.array(labels, np.int64))
    return images, passed_over


def _counted(passed_over: Counter[str]) -> str:
    return f" (it has {say_counts(passed_over)})" if passed_over else ""


def say_counts(passed_over: Mapping[str, int]) -> str:
    """Describe numbers of files by suffix, the largest first."""
    most = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {suffix}" for suffix, count in most)


def list_images(folder: Path, *, any_name: bool = False) -> FolderListing:
    """List the images in a folder and the folders below it, sorted by path.

    Whatever is named like an image counts, even a broken link or a device: reading it
    explains why it cannot be read.

    Args:
        folder: where to begin.
        any_name: whether names may hold bytes that are not UTF-8.

    Raises:
        InputError: a folder cannot be listed, a name is not UTF-8, or a link leads
            back to a folder that it lies in.
    """
    found: list[str] = []
    passed_over: Counter[str] = Counter()
    walk = os.walk(folder, followlinks=True, onerror=_refuse_unlisted)
    for place, folders, files in walk:
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in folders:
            _refuse_circle(Path(place, name))
        images = [file for file in files if is_image_name(file)]
        passed_over.update(_kind(file) for file in set(files).difference(images))
        if not any_name:
            _check_encoding(Path(place), [*folders, *images])
        below = Path(place).relative_to(folder).as_posix()
        found += images if below == "." else [f"{below}/{file}" for file in images]
    return FolderListing(sorted(found), passed_over)


def _kind(file: str) -> str:
    if file.startswith("."):
        return "hidden"
    suffix = suffix_of(file).encode("utf-8", "backslashreplace").decode()
    return suffix or "without a suffix"


def _refuse_unlisted(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from error


def _refuse_circle(folder: Path) -> None:
    if folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder}: is a link to a folder that it lies in; remove it")


def _check_encoding(folder: Path, names: Sequence[str]) -> None:
    """Refuse names that an index, which is stored as UTF-8, cannot hold."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        wrong = next(n for n in names if os.fsencode(n) != n.encode(errors="replace"))
        raise InputError(
            f"{folder}: the name {os.fsencode(wrong)!r} is not UTF-8; rename it"
        ) from None
