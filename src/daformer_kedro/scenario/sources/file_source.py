"""From listed files to a checked index of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.sources.file_check import (
    FileEnds,
    find_damaged,
    read_ends,
)
from daformer_kedro.scenario.sources.file_duplicates import find_duplicates

_LOGGER = logging.getLogger(__name__)
_NUM_SHOWN = 10


class ListedFiles(NamedTuple):
    """Files of one split, class by class: relative paths (N,) and labels (N,)."""

    paths: NDArray[np.str_]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class FileFacts:
    """What the folders tell of the classes.

    Attributes:
        class_names: names of all classes, in label order.
        task_sizes: classes of each task, for folders that arrive over time.
    """

    class_names: tuple[str, ...]
    task_sizes: tuple[int, ...] | None = None


class FileSource(Protocol):
    """A kind of source whose images stay files."""

    def facts(self, config: SourceConfig, stream: tuple[str, ...] | None) -> FileFacts:
        """Return the classes, from the names of folders at most.

        Raises:
            InputError: the folders are missing or contradict each other.
        """

    def list_files(
        self,
        config: SourceConfig,
        stream: tuple[str, ...] | None,
        class_names: Sequence[str],
    ) -> tuple[ListedFiles, ListedFiles]:
        """List training and test files of some classes, labelled 0, 1, …

        Raises:
            InputError: a class has no file, or the folders contradict each other.
        """


def source_root(config: SourceConfig) -> Path:
    """Return the absolute folder ``source.path``.

    Raises:
        InputError: it is not set or no folder.
    """
    if config.path is None:
        raise InputError(
            f"source.path is not set; source {config.name} needs the folder of its "
            "images"
        )
    root = Path(config.path).expanduser().absolute()
    if not root.is_dir():
        raise InputError(f"source.path: {root} is no folder")
    return root


def join_classes(per_class: Sequence[NDArray[np.str_]]) -> ListedFiles:
    """Join the files of each class, in label order."""
    counts = [len(paths) for paths in per_class]
    labels = np.repeat(np.arange(len(per_class), dtype=np.int64), counts)
    return ListedFiles(np.concatenate(per_class), labels)


def make_image_files(
    root: Path,
    train: ListedFiles,
    test: ListedFiles,
    class_names: tuple[str, ...],
    *,
    image_size: int,
    resize: int,
    on_error: Literal["fail", "skip"],
) -> ImageFiles:
    """Check files, leave out or refuse the damaged ones, warn of duplicates.

    Raises:
        InputError: a file is damaged and ``on_error`` is ``fail``, or a class has no
            file left.
    """
    skipped: tuple[str, ...] = ()
    checked: list[tuple[ListedFiles, FileEnds]] = []
    for files in (train, test):
        ends = read_ends(root, files.paths)
        damaged = _find_damaged(root, files, ends, decode_all=on_error == "skip")
        if damaged and on_error == "fail":
            raise InputError(_refusal(root, files, damaged))
        skipped += tuple(f"{files.paths[r]}: {why}" for r, why in damaged.items())
        checked.append(_without(files, ends, list(damaged)))
    if skipped:
        _LOGGER.warning(
            "source.on_error = skip: %d damaged image files are left out: %s",
            len(skipped),
            _shortened(skipped),
        )
    (train, train_ends), (test, test_ends) = checked
    _warn_of_duplicates(
        find_duplicates(root, train.paths, train_ends, test.paths, test_ends)
    )
    return ImageFiles(
        root=root,
        train_paths=train.paths,
        train_labels=train.labels,
        test_paths=test.paths,
        test_labels=test.labels,
        class_names=class_names,
        image_size=image_size,
        resize=resize,
        skipped=skipped,
    )


def _find_damaged(
    root: Path, files: ListedFiles, ends: FileEnds, *, decode_all: bool
) -> dict[int, str]:
    """Row and reason of the damaged files; what looks whole is decoded on request."""
    if decode_all:
        return find_damaged(root, files.paths)
    rows = np.flatnonzero(~ends.sound)
    found = find_damaged(root, files.paths[rows])
    return {int(rows[position]): reason for position, reason in found.items()}


def _refusal(root: Path, files: ListedFiles, damaged: dict[int, str]) -> str:
    listed = [
        f"{root / str(files.paths[row])}: {reason}" for row, reason in damaged.items()
    ]
    rest = len(listed) - _NUM_SHOWN
    if rest > 0:
        listed = [*listed[:_NUM_SHOWN], f"and {rest} more"]
    return "\n".join(
        [
            *listed,
            "Mend or remove them, or set source.on_error to skip to leave them out",
        ]
    )


def _without(
    files: ListedFiles, ends: FileEnds, rows: list[int]
) -> tuple[ListedFiles, FileEnds]:
    if not rows:
        return files, ends
    kept = np.ones(len(files.paths), np.bool_)
    kept[rows] = False
    return (
        ListedFiles(files.paths[kept], files.labels[kept]),
        FileEnds(ends.num_bytes[kept], ends.tail[kept], ends.sound[kept]),
    )


def _warn_of_duplicates(pairs: list[tuple[str, str]]) -> None:
    if pairs:
        _LOGGER.warning(
            "%d test images are also in the training set, byte for byte, which makes "
            "accuracy look better than it is: %s",
            len(pairs),
            _shortened([f"{test} = {train}" for test, train in pairs]),
        )


def _shortened(entries: Sequence[str]) -> str:
    rest = len(entries) - _NUM_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(entries[:_NUM_SHOWN]) + more
