"""Reports on folders, and warnings where one may expect them to be read otherwise."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from daformer_kedro.scenario.image_formats import is_image_name
from daformer_kedro.scenario.sources.class_tree import LabelledPaths, class_folders
from daformer_kedro.scenario.sources.split_folders import Splits

_LOGGER = logging.getLogger(__name__)


def report_splits(place: Path, splits: Splits) -> None:
    """Name the folders and what they are for; those that are not read, as a warning."""
    uses = f"trains on {splits.train}, tests on {splits.test}"
    if splits.validation is not None:
        uses += f", validates on {splits.validation}"
    if splits.others:
        others = ", ".join(splits.others)
        _LOGGER.warning("%s: %s; not read: %s", place, uses, others)
    else:
        _LOGGER.info("%s: %s", place, uses)


def warn_of_spellings(folders: Sequence[Path]) -> None:
    """Name classes whose folders differ in how the characters are composed alone."""
    spellings = defaultdict[str, set[str]](set)
    for folder in folders:
        for name, parts in class_folders(folder).items():
            spellings[name].update(parts)
    for name, spelt in spellings.items():
        if len(spelt) > 1:
            _LOGGER.warning(
                "%s: folders called %r differ in how the characters are composed "
                "(%s); they are read as one class",
                ", ".join(str(folder) for folder in folders),
                name,
                ", ".join(ascii(part) for part in sorted(spelt)),
            )


def warn_of_hidden(places: Sequence[Path]) -> None:
    """Name hidden folders of images, which are not read: a class may be called .NET."""
    for place in places:
        with suppress(OSError):  # a hidden folder need not be readable
            hidden = [
                entry.name
                for entry in os.scandir(place)
                if entry.name.startswith(".") and entry.is_dir()
                if any(map(is_image_name, os.listdir(entry.path)))
            ]
            if hidden:
                _LOGGER.warning(
                    "%s: not read, since their names begin with a dot: %s",
                    place,
                    ", ".join(map(repr, sorted(hidden))),
                )


def warn_of_lookalikes(root: Path, names: Sequence[str]) -> None:
    """Name classes that differ in capitals, spaces or widths of letters alone."""
    seen: dict[str, str] = {}
    for name in names:
        plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if plain in seen:
            _LOGGER.warning(
                "%s: %r and %r look alike and are learnt as two classes",
                root,
                seen[plain],
                name,
            )
        seen[plain] = name


def warn_of_depth(
    place: Path, names: Sequence[str], images: LabelledPaths, prefix: str
) -> None:
    """Warn where all classes hold the same folders, which then may be the classes.

    Args:
        place: the folder of the class folders.
        names: classes in label order.
        images: of all these classes.
        prefix: beginning of the paths, before the class's folder.
    """
    below: list[set[str]] = [set() for _ in names]
    for path, label in zip(images.paths.tolist(), images.labels.tolist(), strict=True):
        parts = path.removeprefix(prefix).split("/")
        below[label].add(parts[1] if len(parts) > 2 else "")
    first = below[0]
    if len(first) > 1 and "" not in first and all(b == first for b in below):
        _LOGGER.warning(
            "%s: the classes are %s; each of them holds the folders %s, whose images "
            "count as images of the class",
            place,
            ", ".join(names[:5]) + (" …" if len(names) > 5 else ""),
            ", ".join(sorted(first)[:5]) + (" …" if len(first) > 5 else ""),
        )
