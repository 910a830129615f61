"""Index of a source's files: checked, relabelled, counted."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles, LeftOut
from daformer_kedro.scenario.sources.class_subset import keep_files, resolve_classes
from daformer_kedro.scenario.sources.class_tree import LabelledPaths, say_counts
from daformer_kedro.scenario.sources.file_checks import find_faults, warn_of_duplicates
from daformer_kedro.scenario.sources.file_source import FileSource, folder_of
from daformer_kedro.scenario.sources.resizing import copy_name, make_copies

_LOGGER = logging.getLogger(__name__)


def index_files(
    source: FileSource,
    config: SourceConfig,
    image_size: int,
    resize: int,
    stream: tuple[str, ...] | None,
    copies: Path | None = None,
) -> tuple[ImageFiles, LeftOut]:
    """List a source's files, check that they can be read, and copy them if asked.

    Args:
        source: knows the layout.
        config: section ``source`` of the parameters.
        image_size: side of the square that the network reads.
        resize: short side before the centre crop for testing.
        stream: folders that arrive over time.
        copies: where smaller copies lie; needed for ``source.cache_size``.

    Returns:
        The index, and the files that are not in it.

    Raises:
        InputError: a file cannot be read and ``source.on_error`` is ``fail``, or the
            folders do not fit.
    """
    root = folder_of(config)
    metadata = source.metadata(config, stream)
    names = metadata.class_names
    kept = resolve_classes(config.classes, names, config.name)
    listing = source.list_files(config, stream)
    train, test = (keep_files(part, kept) for part in (listing.train, listing.test))
    train, is_validation = _with_validation(train, listing.validation, kept)
    _say_passed_over(root, listing.passed_over)
    place = _Place(root, config.cache_size, copies)
    faults = _find_faults(place, config, train, test)
    if is_validation is not None:
        is_validation = is_validation[_are_good(train, faults)]
    train, test = _without(train, faults), _without(test, faults)
    warn_of_duplicates(root, train.paths.tolist(), test.paths.tolist())
    if config.on_validation:
        test = train  # until some of these are chosen
    images = ImageFiles(
        root=place.folder,
        train_paths=place.names(train.paths),
        train_labels=train.labels,
        train_bytes=_num_bytes(root, train),
        test_paths=place.names(test.paths),
        test_labels=test.labels,
        test_bytes=_num_bytes(root, test),
        class_names=tuple(names[label] for label in kept),
        image_size=image_size,
        resize=resize,
        task_sizes=metadata.task_sizes,
        cache_size=config.cache_size,
        is_validation=is_validation,
    )
    return images, LeftOut(sorted(faults.items()), dict(listing.passed_over))


def _with_validation(
    train: LabelledPaths, validation: LabelledPaths | None, kept: Sequence[int]
) -> tuple[LabelledPaths, NDArray[np.bool_] | None]:
    """Add validation images to those to train on, in label order, and mark them."""
    if validation is None:
        return train, None
    validation = keep_files(validation, kept)
    labels = np.concatenate([train.labels, validation.labels])
    order = np.argsort(labels, kind="stable")
    paths = np.concatenate([train.paths, validation.paths])[order]
    return LabelledPaths(paths, labels[order]), order >= len(train.labels)


def _find_faults(
    place: _Place,
    config: SourceConfig,
    train: LabelledPaths,
    test: LabelledPaths,
) -> dict[str, str]:
    """Return the reasons of images that cannot be read, if they may be left out."""
    skips = config.on_error == "skip"
    faults = place.prepare([*train.paths.tolist(), *test.paths.tolist()], decode=skips)
    if faults and not skips:
        first, reason = next(iter(faults.items()))
        others = len(faults) - 1
        noun = "file" if others == 1 else "files"
        more = f", and {others} more {noun}" if others else ""
        raise InputError(
            f"{place.root / first}: {reason}{more}. Repair or remove it, or leave such "
            "files out with source.on_error=skip"
        )
    if faults:
        _LOGGER.warning(
            "%s: %d files cannot be read and are left out", place.root, len(faults)
        )
    return faults


def _say_passed_over(root: Path, passed_over: Mapping[str, int]) -> None:
    if passed_over:
        _LOGGER.warning(
            "%s: passed over, not named like images: %s",
            root,
            say_counts(passed_over),
        )


@dataclass(frozen=True)
class _Place:
    """Folder that images are read from: their own, or that of their copies."""

    root: Path
    cache_size: int | None
    copies: Path | None

    @property
    def folder(self) -> Path:
        if self.cache_size is None:
            return self.root
        if self.copies is None:
            raise InputError(
                f"source.cache_size = {self.cache_size} needs a folder for the copies"
            )
        return self.copies

    def prepare(self, paths: list[str], decode: bool) -> dict[str, str]:
        """Check or copy the images; return the reason for each that is not read."""
        if self.cache_size is None:
            return find_faults(self.root, paths, decode=decode)
        return make_copies(self.root, paths, self.folder, self.cache_size)

    def names(self, paths: NDArray[np.str_]) -> NDArray[np.str_]:
        if self.cache_size is None:
            return paths
        return np.array([copy_name(path) for path in paths.tolist()], np.str_)


def _num_bytes(root: Path, images: LabelledPaths) -> NDArray[np.int64]:
    sizes = (os.stat(f"{root}/{path}").st_size for path in images.paths.tolist())
    return np.fromiter(sizes, np.int64, len(images.paths))


def _without(images: LabelledPaths, faults: Mapping[str, str]) -> LabelledPaths:
    good = _are_good(images, faults)
    return LabelledPaths(images.paths[good], images.labels[good])


def _are_good(images: LabelledPaths, faults: Mapping[str, str]) -> NDArray[np.bool_]:
    return np.array([path not in faults for path in images.paths.tolist()], bool)
