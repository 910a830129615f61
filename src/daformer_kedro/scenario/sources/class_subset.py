"""The setting ``source.classes``: keep some classes of a source."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages

_KEY = "source.classes"


def resolve_classes(
    classes: Sequence[str | int] | None, class_names: Sequence[str], source_name: str
) -> tuple[int, ...]:
    """Return the labels to keep, in the order given; ``None`` keeps all.

    Args:
        classes: class names or labels.
        class_names: names of all classes of the source, in label order.
        source_name: name of the source, for messages.

    Raises:
        InputError: the list is empty, names a class twice or an unknown one, or only
            reorders all classes.
    """
    if classes is None:
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
    return labels


def keep_classes(data: LabelledImages, labels: Sequence[int]) -> LabelledImages:
    """Keep the images of some classes and relabel these 0..n - 1 in the order given.

    Args:
        data: images with their labels.
        labels: the labels to keep.
    """
    num_labels = int(max(data.labels.max(initial=0), max(labels))) + 1
    new_label = np.full(num_labels, -1, dtype=np.int64)
    new_label[list(labels)] = np.arange(len(labels))
    relabelled = new_label[data.labels]
    kept = relabelled >= 0
    if kept.all():
        return LabelledImages(data.images, relabelled)
    return LabelledImages(data.images[kept], relabelled[kept])


def _label_of(entry: str | int, class_names: Sequence[str], source_name: str) -> int:
    if isinstance(entry, int):
        if not 0 <= entry < len(class_names):
            raise InputError(
                f"{_KEY}: label {entry} is out of range; {source_name} has labels "
                f"0..{len(class_names) - 1}"
            )
        return int(entry)
    if entry not in class_names:
        close = difflib.get_close_matches(entry, class_names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(
            f"{_KEY}: {source_name} has no class {entry!r}; {hint}"
            f"Its classes: {', '.join(class_names)}"
        )
    return class_names.index(entry)
