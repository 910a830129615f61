"""The user's own images in one folder per class, or in folders that arrive in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_tree import (
    LabelledPaths,
    class_folders,
    find_splits,
    list_classes,
    list_split,
    subfolders,
)
from daformer_kedro.scenario.sources.file_source import (
    FileFacts,
    FileListing,
    folder_of,
)
from daformer_kedro.scenario.sources.folder_warnings import (
    warn_of_depth,
    warn_of_hidden,
    warn_of_lookalikes,
    warn_of_others,
    warn_of_spellings,
)
from daformer_kedro.scenario.sources.held_out import hold_out


@dataclass(frozen=True)
class ImageFolder:
    """``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` to be divided.

    With a stream, every one of its folders is laid out like that, and labels go by
    arrival.
    """

    def facts(self, config: SourceConfig, stream: Sequence[str] | None) -> FileFacts:
        """Return class names from the folders' names."""
        root = folder_of(config)
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
        if len(names) == 1:
            _refuse_single(root / home[names[0]], names[0])
        return FileFacts(tuple(names), None if stream is None else tuple(sizes))

    def list_files(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileListing:
        """List training and test images."""
        root = folder_of(config)
        parts = [_list_tree(root, folder, config) for folder in _checked(stream)]
        warn_of_lookalikes(root, self.facts(config, stream).class_names)
        return FileListing(
            _joined([p.train for p in parts]),
            _joined([p.test for p in parts]),
            sum((p.passed_over for p in parts), Counter()),
        )


def _checked(stream: Sequence[str] | None) -> Sequence[str]:
    if stream is None:
        return [""]
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


def _refuse_single(place: Path, name: str) -> None:
    """Refuse a single class, which most often is a folder too high."""
    splits = find_splits(place)
    folder = place if splits is None else place / splits.train
    folder = folder / class_folders(folder)[name][0]
    below = subfolders(folder)
    hint = f"; are {', '.join(below[:5])} in it the classes?" if below else ""
    if hint and splits is None:
        hint += f" Then give source.path={folder}"
    raise InputError(
        f"{place}: holds one class, {name!r}; at least two are needed, to have "
        f"something to tell apart{hint}"
    )


def _list_tree(root: Path, folder: str, config: SourceConfig) -> FileListing:
    place = root / folder
    names = list_classes(place)
    splits = find_splits(place)
    prefix = f"{folder}/" if folder else ""
    used = [folder] if splits is None else [f"{prefix}{s}" for s in splits[:2]]
    warn_of_spellings([root / part for part in used])
    warn_of_hidden([root / part for part in used])
    if splits is None:
        images, passed_over = list_split(root, folder, names)
        warn_of_depth(place, names, images, prefix)
        held = hold_out(images, config.test_fraction, config.split_seed, prefix)
        return FileListing(*held, passed_over)
    warn_of_others(place, splits)
    (train, over), (test, more) = (list_split(root, part, names) for part in used)
    return FileListing(train, test, over + more)


def _joined(parts: Sequence[LabelledPaths]) -> LabelledPaths:
    """Join the parts; labels of later ones follow those of earlier ones."""
    labels, shift = [], 0
    for part in parts:
        labels.append(part.labels + shift)
        shift += int(part.labels.max()) + 1
    return LabelledPaths(
        np.concatenate([part.paths for part in parts]), np.concatenate(labels)
    )


IMAGE_FOLDER = ImageFolder()
