"""From the files of a source to its index: checked, relabelled, counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.sources.class_subset import resolve_classes
from daformer_kedro.scenario.sources.class_tree import LabelledPaths
from daformer_kedro.scenario.sources.file_checks import find_faults, warn_of_duplicates
from daformer_kedro.scenario.sources.file_source import FileSource, folder_of

_LOGGER = logging.getLogger(__name__)


def index_files(
    source: FileSource,
    config: SourceConfig,
    image_size: int,
    resize: int,
    stream: tuple[str, ...] | None,
) -> ImageFiles:
    """List a source's files and look whether they can be read.

    Raises:
        InputError: a file cannot be read and ``source.on_error`` is ``fail``, or the
            folders do not fit.
    """
    root = folder_of(config)
    facts = source.facts(config, stream)
    names = facts.class_names
    kept = resolve_classes(config.classes, names, config.name)
    train, test = (_keep(p, kept) for p in source.list_files(config, stream))
    skips = config.on_error == "skip"
    paths = [*train.paths.tolist(), *test.paths.tolist()]
    faults = find_faults(root, paths, decode=skips)
    if faults and not skips:
        first, reason = next(iter(faults.items()))
        more = f", and {len(faults) - 1} more files" if len(faults) > 1 else ""
        raise InputError(
            f"{root / first}: {reason}{more}. Mend or remove it, or leave such files "
            "out with source.on_error=skip"
        )
    if faults:
        _LOGGER.warning(
            "%s: %d files cannot be read and are left out", root, len(faults)
        )
        train, test = _without(train, faults), _without(test, faults)
    warn_of_duplicates(root, train.paths.tolist(), test.paths.tolist())
    return ImageFiles(
        root=root,
        train_paths=train.paths,
        train_labels=train.labels,
        test_paths=test.paths,
        test_labels=test.labels,
        class_names=tuple(names[label] for label in kept),
        image_size=image_size,
        resize=resize,
        task_sizes=facts.task_sizes,
        skipped=tuple(f"{path}: {reason}" for path, reason in sorted(faults.items())),
    )


def _keep(images: LabelledPaths, labels: tuple[int, ...]) -> LabelledPaths:
    """The images of some classes, relabelled in the order given, in label order."""
    new_label = np.full(int(images.labels.max()) + 1, -1)
    new_label[list(labels)] = np.arange(len(labels))
    relabelled = new_label[images.labels]
    rows = np.flatnonzero(relabelled >= 0)
    rows = rows[np.argsort(relabelled[rows], kind="stable")]
    return LabelledPaths(images.paths[rows], relabelled[rows].astype(np.int64))


def _without(images: LabelledPaths, faults: Mapping[str, str]) -> LabelledPaths:
    good = np.array([path not in faults for path in images.paths.tolist()], bool)
    return LabelledPaths(images.paths[good], images.labels[good])
