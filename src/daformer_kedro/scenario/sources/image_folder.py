"""The user's own images: one folder a class, all at once or in folders over time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.file_listing import class_folders, list_images
from daformer_kedro.scenario.sources.file_source import (
    FileFacts,
    ListedFiles,
    join_classes,
    source_root,
)

_SPLITS = ("train", "test")
_NUM_SHOWN = 10


class ImageFolder:
    """``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` to be split."""

    def facts(self, config: SourceConfig, stream: tuple[str, ...] | None) -> FileFacts:
        """Return the classes by name, or folder by folder for a stream.

        Raises:
            InputError: a folder is missing or empty, a class is in one of train and
                test alone, or in two folders of the stream.
        """
        root = source_root(config)
        if stream is None:
            return FileFacts(_classes_in(root))
        owner = _folder_of_each_class(root, stream)
        folders = list(owner.values())
        return FileFacts(tuple(owner), tuple(folders.count(entry) for entry in stream))

    def list_files(
        self,
        config: SourceConfig,
        stream: tuple[str, ...] | None,
        class_names: Sequence[str],
    ) -> tuple[ListedFiles, ListedFiles]:
        """List the files of some classes, in the order given.

        Raises:
            InputError: a class has no image, or only one where it must be split.
        """
        root = source_root(config)
        owner: Mapping[str, str] = {}
        if stream is not None:
            owner = _folder_of_each_class(root, stream)
        parts = [_list_class(root, owner.get(n, ""), n, config) for n in class_names]
        train, test = zip(*parts, strict=True)
        return join_classes(train), join_classes(test)


def _folder_of_each_class(root: Path, stream: Sequence[str]) -> dict[str, str]:
    """Return the stream's folder of each class, in order of arrival."""
    owner: dict[str, str] = {}
    for entry in stream:
        folder = root / entry
        if Path(entry).is_absolute() or ".." in Path(entry).parts:
            raise InputError(
                f"scenario.tasks: {entry} must be a folder in source.path = {root}"
            )
        if not folder.is_dir():
            raise InputError(f"scenario.tasks: {folder} is no folder")
        for name in _classes_in(folder):
            if name in owner:
                raise InputError(
                    f"scenario.tasks: class {name!r} is in two folders, "
                    f"{root / owner[name]} and {folder}; a class arrives once"
                )
            owner[name] = entry
    return owner


def _is_split(folder: Path) -> bool:
    present = [split for split in _SPLITS if (folder / split).is_dir()]
    if len(present) == 1:
        (absent,) = set(_SPLITS) - set(present)
        raise InputError(
            f"{folder}: holds {present[0]} but no folder {absent}; give both, or one "
            "folder a class without train and test"
        )
    return bool(present)


def _classes_in(folder: Path) -> tuple[str, ...]:
    if not _is_split(folder):
        return class_folders(folder)
    train, test = (class_folders(folder / split) for split in _SPLITS)
    for split, other, absent in (
        ("test", "train", sorted(set(test) - set(train))),
        ("train", "test", sorted(set(train) - set(test))),
    ):
        if absent:
            more = len(absent) - _NUM_SHOWN
            names = ", ".join(absent[:_NUM_SHOWN])
            names += f" and {more} more" if more > 0 else ""
            raise InputError(
                f"{folder}: in {split} but not in {other}: {names}; every class needs "
                "images in both"
            )
    return train


def _list_class(
    root: Path, entry: str, name: str, config: SourceConfig
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return training and test files of a class, as paths from ``root``."""
    prefix = f"{Path(entry).as_posix()}/" if entry else ""
    if _is_split(root / entry):
        train, test = (list_images(root, f"{prefix}{s}/{name}") for s in _SPLITS)
        return train, test
    paths = list_images(root, f"{prefix}{name}")
    if len(paths) == 1:
        raise InputError(
            f"{root / str(paths[0])}: is the only image of its class; to hold out "
            "source.test_fraction of a class at least two are needed"
        )
    in_test = _in_test([path.removeprefix(prefix) for path in paths.tolist()], config)
    return paths[~in_test], paths[in_test]


def _in_test(paths: Sequence[str], config: SourceConfig) -> NDArray[np.bool_]:
    """Decide for each file alone, so that files added later move no others.

    Where that leaves one side without an image, the nearest one changes sides.
    """
    draws = np.array([_draw(path, config.split_seed) for path in paths])
    in_test = draws < config.test_fraction
    if not in_test.any():
        in_test[draws.argmin()] = True
    elif in_test.all():
        in_test[draws.argmax()] = False
    return in_test


def _draw(path: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on a file's name and the seed alone."""
    digest = hashlib.blake2b(f"{seed}/{path}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


IMAGE_FOLDER = ImageFolder()
