"""Class order: in which order classes arrive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.packaged import packaged_folder, packaged_list

_KEY = "scenario.class_order"


def resolve_class_order(
    class_order: str | int | Sequence[int],
    *,
    source_name: str,
    num_classes: int,
    seed: int,
) -> tuple[int, ...]:
    """Turn the setting ``scenario.class_order`` into a permutation of the labels.

    Args:
        class_order: ``identity``; ``shuffle``, drawn from ``seed``; the number of a
            published order of the source; or the permutation itself.
        source_name: name of the source, which the published orders belong to.
        num_classes: classes in use, after ``source.classes``.
        seed: seed of the run; only ``shuffle`` reads it.

    Returns:
        Labels in order of arrival: entry p is the label whose target is p.

    Raises:
        InputError: the list is not a permutation, the number is not published for this
            source, or the published order covers another number of classes.
    """
    if class_order == "identity":
        return tuple(range(num_classes))
    if class_order == "shuffle":
        shuffled = np.random.default_rng(seed).permutation(num_classes)
        return tuple(int(label) for label in shuffled)
    if isinstance(class_order, int):
        return _published_order(class_order, source_name, num_classes)
    if isinstance(class_order, str):
        raise InputError(
            f"{_KEY} = {class_order!r} is not known; allowed: identity, shuffle, "
            "the number of a published order, or a permutation of the labels"
        )
    return _checked_permutation(tuple(class_order), num_classes)


def published_class_orders(source_name: str) -> tuple[int, ...]:
    """Return the numbers of the published class orders of a source, rising."""
    prefix = f"{source_name}_order"
    names = (entry.name for entry in packaged_folder("class_orders").iterdir())
    return tuple(
        sorted(
            int(name.removeprefix(prefix).removesuffix(".json"))
            for name in names
            if name.startswith(prefix)
        )
    )


def _published_order(
    number: int, source_name: str, num_classes: int
) -> tuple[int, ...]:
    known = published_class_orders(source_name)
    if number not in known:
        published = ", ".join(map(str, known)) if known else "none"
        raise InputError(
            f"{_KEY} = {number} is not a published order of {source_name}; published: "
            f"{published}. Also allowed: identity, shuffle, or a permutation of the "
            "labels"
        )
    order = packaged_list("class_orders", f"{source_name}_order{number}")
    if len(order) != num_classes:
        raise InputError(
            f"{_KEY} = {number} is an order of all {len(order)} classes of "
            f"{source_name}, but source.classes keeps {num_classes}; give identity, "
            f"shuffle, or a permutation of 0..{num_classes - 1}"
        )
    return _checked_permutation(order, num_classes)


def _checked_permutation(order: tuple[int, ...], num_classes: int) -> tuple[int, ...]:
    labels = set(range(num_classes))
    faults = {
        "missing": sorted(labels - set(order)),
        "given more than once": sorted({x for x in order if order.count(x) > 1}),
        "out of range": sorted(set(order) - labels),
    }
    if any(faults.values()):
        details = "; ".join(
            f"{fault}: {', '.join(map(str, found))}"
            for fault, found in faults.items()
            if found
        )
        raise InputError(
            f"{_KEY} = {_shown(order)} is not a permutation of 0..{num_classes - 1} "
            f"({details})"
        )
    return order


def _shown(order: tuple[int, ...], limit: int = 20) -> str:
    head = ", ".join(map(str, order[:limit]))
    if len(order) <= limit:
        return f"[{head}]"
    return f"[{head}, … {len(order)} entries]"
