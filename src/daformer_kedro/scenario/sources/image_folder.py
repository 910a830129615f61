"""The user's own images in a folder a class; also as folders that arrive over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_tree import (
    LabelledPaths,
    find_splits,
    hold_out,
    list_classes,
    list_split,
)
from daformer_kedro.scenario.sources.file_source import FileFacts, folder_of


@dataclass(frozen=True)
class ImageFolder:
    """``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` to be divided.

    With a stream, every one of its folders is laid out like that, and labels go by
    arrival.
    """

    def facts(self, config: SourceConfig, stream: Sequence[str] | None) -> FileFacts:
        """Class names from the folders' names."""
        root = folder_of(config)
        if stream is None:
            return FileFacts(list_classes(root))
        names: list[str] = []
        sizes: list[int] = []
        home: dict[str, str] = {}
        for folder in _checked(stream):
            found = list_classes(root / folder)
            for name in found:
                if name in home:
                    raise InputError(
                        f"scenario.tasks: class {name!r} is in {home[name]} and in "
                        f"{folder}; a class arrives once"
                    )
            home |= dict.fromkeys(found, folder)
            names += found
            sizes.append(len(found))
        return FileFacts(tuple(names), tuple(sizes))

    def list_files(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> tuple[LabelledPaths, LabelledPaths]:
        """Training and test images."""
        root = folder_of(config)
        parts = [
            _list_tree(root, folder, config) for folder in _checked(stream or [""])
        ]
        return _joined([p[0] for p in parts]), _joined([p[1] for p in parts])


def _checked(stream: Sequence[str]) -> Sequence[str]:
    if not stream:
        raise InputError("scenario.tasks = [] must name at least one folder")
    for folder in stream:
        if Path(folder).is_absolute() or ".." in Path(folder).parts:
            raise InputError(
                f"scenario.tasks: {folder!r} must be a folder below source.path"
            )
    repeated = sorted({name for name in stream if list(stream).count(name) > 1})
    if repeated:
        raise InputError(f"scenario.tasks names {repeated[0]!r} twice")
    return stream


def _list_tree(
    root: Path, folder: str, config: SourceConfig
) -> tuple[LabelledPaths, LabelledPaths]:
    place = root / folder
    names = list_classes(place)
    splits = find_splits(place)
    prefix = f"{folder}/" if folder else ""
    if splits is not None:
        train, test = (list_split(root, f"{prefix}{split}", names) for split in splits)
        return train, test
    images = list_split(root, folder, names)
    return hold_out(images, config.test_fraction, config.split_seed, prefix)


def _joined(parts: Sequence[LabelledPaths]) -> LabelledPaths:
    """Labels of later parts follow those of earlier ones."""
    labels, shift = [], 0
    for part in parts:
        labels.append(part.labels + shift)
        shift += int(part.labels.max()) + 1
    return LabelledPaths(
        np.concatenate([part.paths for part in parts]), np.concatenate(labels)
    )


IMAGE_FOLDER = ImageFolder()
