"""The setting ``source.classes``: keep some classes of a source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import yaml
from numpy.typing import NDArray

from daformer_kedro.errors import InputError, did_you_mean
from daformer_kedro.scenario.sources.class_tree import LabelledPaths, class_name
from daformer_kedro.scenario.sources.source import LabelledImages

_KEY = "source.classes"
_AT_LEAST_TWO = "at least two are needed, to have something to tell apart"


def resolve_classes(
    classes: Sequence[str | int] | None, class_names: Sequence[str], source_name: str
) -> tuple[int, ...]:
    """Return the labels to keep, in the order given; ``None`` keeps all.

    Args:
        classes: class names or labels.
        class_names: names of all classes of the source, in label order.
        source_name: name of the source, for messages.

    Raises:
        InputError: the list is empty, names a class twice or an unknown one, only
            reorders all classes or keeps a single one, or a number in it may be meant
            as the name of another class.
    """
    if classes is None:
        if len(class_names) < 2:
            raise InputError(f"source {source_name} has one class; {_AT_LEAST_TWO}")
        return tuple(range(len(class_names)))
    if not classes:
        raise InputError(f"{_KEY} = [] keeps nothing; leave it out to keep all classes")
    labels = tuple(_label_of(entry, class_names, source_name) for entry in classes)
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        names = ", ".join(f"{class_names[label]} ({label})" for label in repeated)
        raise InputError(f"{_KEY} = {list(classes)} names a class twice: {names}")
    if len(labels) == len(class_names) and labels != tuple(sorted(labels)):
        # New labels under an unchanged number of classes would give a published
        # class order another meaning, unnoticed.
        raise InputError(
            f"{_KEY} names all {len(class_names)} classes of {source_name} in another "
            "order; leave it out, and set scenario.class_order to reorder classes"
        )
    if len(labels) == 1:
        raise InputError(f"{_KEY} = {list(classes)} keeps one class; {_AT_LEAST_TWO}")
    return labels


def relabel(labels: NDArray[np.int64], kept: Sequence[int]) -> NDArray[np.int64]:
    """New labels 0..n - 1 of the classes that are kept, in their order; -1 of others.

    Args:
        labels: (N,) labels of all classes.
        kept: the labels to keep.
    """
    new_label = np.full(int(max(labels.max(initial=0), *kept)) + 1, -1, np.int64)
    new_label[list(kept)] = np.arange(len(kept))
    return new_label[labels]


def keep_classes(data: LabelledImages, labels: Sequence[int]) -> LabelledImages:
    """Keep the images of some classes and relabel these, see :func:`relabel`.

    Args:
        data: images with their labels.
        labels: the labels to keep.
    """
    relabelled = relabel(data.labels, labels)
    kept = relabelled >= 0
    if kept.all():
        return LabelledImages(data.images, relabelled)
    return LabelledImages(data.images[kept], relabelled[kept])


def keep_files(files: LabelledPaths, labels: Sequence[int]) -> LabelledPaths:
    """Keep the files of some classes, relabelled and in order of their labels.

    Args:
        files: paths with their labels.
        labels: the labels to keep.
    """
    relabelled = relabel(files.labels, labels)
    rows = np.flatnonzero(relabelled >= 0)
    rows = rows[np.argsort(relabelled[rows], kind="stable")]
    return LabelledPaths(files.paths[rows], relabelled[rows])


def _label_of(entry: str | int, class_names: Sequence[str], source_name: str) -> int:
    if isinstance(entry, int):
        _refuse_ambiguous(entry, class_names)
        if not 0 <= entry < len(class_names):
            raise InputError(
                f"{_KEY}: label {entry} is out of range; {source_name} has labels "
                f"0..{len(class_names) - 1}"
            )
        return int(entry)
    entry = class_name(entry)
    if entry not in class_names:
        raise InputError(
            f"{_KEY}: {source_name} has no class {entry!r}."
            f"{did_you_mean(entry, class_names)} Its classes: {', '.join(class_names)}"
        )
    return class_names.index(entry)


def _refuse_ambiguous(number: int, class_names: Sequence[str]) -> None:
    for label, name in enumerate(class_names):
        if label != number and number in _numbers(name):
            raise InputError(
                f"{_KEY}: {number} counts classes from 0, and {name!r}, which YAML "
                "reads as a number, is another one; write the names of the classes "
                f'you mean in quotes, as "{name}"'
            )


def _numbers(name: str) -> set[int]:
    """The numbers that a name may be read as: 010 is ten to a person and 8 to YAML."""
    found = {int(name)} if name.isdecimal() else set[int]()
    try:
        value = yaml.safe_load(name)
    except yaml.YAMLError:
        return found
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return found | {value} if is_number else found
