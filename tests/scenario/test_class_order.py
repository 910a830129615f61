import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.class_order import (
    published_class_orders,
    resolve_class_order,
)


def _resolve(class_order: object, num_classes: int = 5, **options: object) -> tuple:
    settings = {"source_name": "digits", "num_classes": num_classes, "seed": 0}
    return resolve_class_order(class_order, **(settings | options))


def test_identity_is_label_order() -> None:
    assert _resolve("identity") == (0, 1, 2, 3, 4)


def test_shuffle_is_drawn_from_the_seed_alone() -> None:
    np.random.seed(1)  # the global seed must not matter
    first = _resolve("shuffle", 100, seed=3)
    np.random.seed(2)
    assert _resolve("shuffle", 100, seed=3) == first
    assert sorted(first) == list(range(100))
    assert first != tuple(range(100))
    assert _resolve("shuffle", 100, seed=4) != first
    assert all(type(label) is int for label in first)


def test_explicit_permutation_is_kept() -> None:
    assert _resolve([3, 1, 4, 0, 2]) == (3, 1, 4, 0, 2)


@pytest.mark.parametrize(
    ("number", "beginning"),
    [
        (1, (87, 0, 52, 58, 44, 91, 68, 97, 51, 15)),
        (2, (58, 30, 93, 69, 21, 77, 3, 78, 12, 71)),
        (3, (71, 54, 45, 32, 4, 8, 48, 66, 1, 91)),
    ],
)
def test_published_orders_of_cifar100(number: int, beginning: tuple[int, ...]) -> None:
    order = _resolve(number, 100, source_name="cifar100")
    assert order[:10] == beginning


@pytest.mark.parametrize(
    ("source_name", "numbers", "num_classes"),
    [
        ("cifar100", (1, 2, 3), 100),
        ("imagenet100", (1,), 100),
        ("imagenet1000", (1,), 1000),
        ("digits", (), 10),
    ],
)
def test_published_orders_are_permutations(
    source_name: str, numbers: tuple[int, ...], num_classes: int
) -> None:
    assert published_class_orders(source_name) == numbers
    for number in numbers:
        order = _resolve(number, num_classes, source_name=source_name)
        assert sorted(order) == list(range(num_classes))


def test_unknown_number_lists_the_published_ones() -> None:
    with pytest.raises(
        InputError,
        match=r"scenario.class_order = 4 is not a published order of cifar100; "
        r"published: 1, 2, 3\.",
    ):
        _resolve(4, 100, source_name="cifar100")


def test_number_without_any_published_order() -> None:
    with pytest.raises(InputError, match=r"order of digits; published: none\."):
        _resolve(1)


def test_published_order_does_not_fit_a_subset() -> None:
    with pytest.raises(
        InputError, match=r"all 100 classes of cifar100, but source.classes keeps 20"
    ):
        _resolve(1, 20, source_name="cifar100")


@pytest.mark.parametrize(
    ("class_order", "message"),
    [
        ([0, 1, 2, 3], r"\[0, 1, 2, 3\] is not a permutation of 0..4 \(missing: 4\)"),
        ([0, 1, 2, 2, 4], r"\(missing: 3; given more than once: 2\)"),
        ([0, 1, 2, 3, 5], r"\(missing: 4; out of range: 5\)"),
        ([0, 1, 2, 3, 4, -1], r"\(out of range: -1\)"),
        ([], r"\[\] is not a permutation of 0..4 \(missing: 0, 1, 2, 3, 4\)"),
        (range(30), r"18, 19, … 30 entries\] is not a permutation"),
        ("sorted", "scenario.class_order = 'sorted' is not known; allowed: identity"),
    ],
)
def test_faulty_orders_are_refused(class_order: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _resolve(class_order)
