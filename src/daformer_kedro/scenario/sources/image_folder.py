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
    FileListing,
    FileMetadata,
    folder_of,
)
from daformer_kedro.scenario.sources.folder_warnings import (
    report_splits,
    warn_of_depth,
    warn_of_hidden,
    warn_of_lookalikes,
    warn_of_spellings,
)
from daformer_kedro.scenario.sources.held_out import hold_out


@dataclass(frozen=True)
class ImageFolder:
    """``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` to be divided.

    With a stream, every one of its folders is laid out like that, and labels go by
    arrival.
    """

    def metadata(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileMetadata:
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
        return FileMetadata(
            tuple(names),
            None if stream is None else tuple(sizes),
            _have_validation(root, _checked(stream)),
        )

    def list_files(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileListing:
        """List training and test images."""
        root = folder_of(config)
        parts = [_list_tree(root, folder, config) for folder in _checked(stream)]
        about = self.metadata(config, stream)
        warn_of_lookalikes(root, about.class_names)
        sizes = about.task_sizes or (len(about.class_names),)
        validation = [p.validation for p in parts if p.validation is not None]
        return FileListing(
            _joined([p.train for p in parts], sizes),
            _joined([p.test for p in parts], sizes),
            sum((p.passed_over for p in parts), Counter()),
            _joined(validation, sizes) if about.has_validation else None,
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


def _have_validation(root: Path, folders: Sequence[str]) -> bool:
    """Return whether all folders hold validation images, or none does."""
    splits = {folder: find_splits(root / folder) for folder in folders}
    have = {f: s is not None and s.validation is not None for f, s in splits.items()}
    if any(have.values()) and not all(have.values()):
        first = next(folder for folder, has in have.items() if has)
        other = next(folder for folder, has in have.items() if not has)
        raise InputError(
            f"scenario.tasks: {first} has a folder of validation images beside those "
            f"to train and to test, and {other} has none; give every one such a "
            "folder, or none"
        )
    return all(have.values())


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
    read = [] if splits is None else [splits.train, splits.test, splits.validation]
    used = [f"{prefix}{name}" for name in read if name] or [folder]
    warn_of_spellings([root / part for part in used])
    warn_of_hidden([root / part for part in used])
    if splits is None:
        images, passed_over = list_split(root, folder, names)
        warn_of_depth(place, names, images, prefix)
        train, test = hold_out(images, config.test_fraction, config.split_seed, prefix)
        if config.on_validation:
            test = LabelledPaths.none()
        return FileListing(train, test, passed_over)
    report_splits(place, splits)
    unread = used[1] if config.on_validation else None
    listed = [
        (LabelledPaths.none(), Counter[str]())
        if part == unread
        else list_split(root, part, names)
        for part in used
    ]
    train, test, *validation = (images for images, _ in listed)
    passed_over = sum((over for _, over in listed), Counter[str]())
    return FileListing(train, test, passed_over, *validation)


def _joined(parts: Sequence[LabelledPaths], sizes: Sequence[int]) -> LabelledPaths:
    """Join the parts; labels of later ones follow the classes of earlier ones."""
    labels, shift = [], 0
    for part, size in zip(parts, sizes, strict=True):
        labels.append(part.labels + shift)
        shift += size
    return LabelledPaths(
        np.concatenate([part.paths for part in parts]), np.concatenate(labels)
    )


IMAGE_FOLDER = ImageFolder()
