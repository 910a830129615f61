"""The order in which classes arrive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from daformer_kedro.errors import InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

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
        InputError: the list is no permutation, the number is not published for this
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
    names = (entry.name for entry in _orders_folder().iterdir())
    return tuple(
        sorted(
            int(name.removeprefix(prefix).removesuffix(".json"))
            for name in names
            if name.startswith(prefix)
        )
    )


def _orders_folder() -> Traversable:
    return files("daformer_kedro.scenario") / "class_orders"


def _published_order(
    number: int, source_name: str, num_classes: int
) -> tuple[int, ...]:
    known = published_class_orders(source_name)
    if number not in known:
        published = ", ".join(map(str, known)) if known else "none"
        raise InputError(
            f"{_KEY} = {number} is no published order of {source_name}; published: "
            f"{published}. Also allowed: identity, shuffle, or a permutation of the "
            "labels"
        )
    file = _orders_folder() / f"{source_name}_order{number}.json"
    order = tuple(json.loads(file.read_text(encoding="utf-8")))
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
            f"{_KEY} = {_shown(order)} is no permutation of 0..{num_classes - 1} "
            f"({details})"
        )
    return order


def _shown(order: tuple[int, ...], limit: int = 20) -> str:
    head = ", ".join(map(str, order[:limit]))
    if len(order) <= limit:
        return f"[{head}]"
    return f"[{head}, … {len(order)} entries]"
