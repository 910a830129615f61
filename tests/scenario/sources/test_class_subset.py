import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_subset import keep_classes, resolve_classes
from daformer_kedro.scenario.sources.source import LabelledImages

NAMES = ("ant", "bee", "cow", "dog")


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (None, (0, 1, 2, 3)),
        (("cow", "ant"), (2, 0)),
        ((3, "bee"), (3, 1)),
        ((0, 1, 2, 3), (0, 1, 2, 3)),
    ],
)
def test_names_and_labels(
    classes: tuple[str | int, ...] | None, labels: tuple[int, ...]
) -> None:
    assert resolve_classes(classes, NAMES, "farm") == labels


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), r"source.classes = \[\] keeps nothing"),
        (("bee", 1), r"\['bee', 1\] names a class twice: bee \(1\)"),
        ((4,), "source.classes: label 4 is out of range; farm has labels 0..3"),
        ((-1,), "label -1 is out of range"),
        (
            ("dogs",),
            r"farm has no class 'dogs'\. Did you mean dog\? Its classes: ant, ",
        ),
        (("3",), "farm has no class '3'. Its classes"),
        (
            (1, 0, 2, 3),
            "names all 4 classes of farm in another order.*scenario.class_order",
        ),
    ],
)
def test_faulty_lists_are_refused(classes: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_classes(classes, NAMES, "farm")


@pytest.mark.parametrize(
    ("names", "given", "named"),
    [
        (("1", "2", "3", "4"), (1, 2), "'1'"),
        (("001", "002", "003"), (1, 2), "'001'"),  # [001, 002] in YAML
        ((*(f"{n:03}" for n in range(12)),), (8, 9), "'010'"),  # 010 is 8 in YAML
        (("10", "20", "30"), (20, 30), "'20'"),
        (("b", "0x1", "0x0"), (0, 1), "'0x0'"),
        (("1_0", *"abcdefghijk"), (10, 11), "'1_0'"),
        (("cat", "0", "dog"), (0, 1), "'0'"),
    ],
)
def test_a_number_that_is_another_class_s_name_is_refused(
    names: tuple[str, ...], given: tuple[int, ...], named: str
) -> None:
    with pytest.raises(InputError, match=f"{named}, which YAML .* in quotes"):
        resolve_classes(given, names, "farm")
    chosen = named.strip("'")
    kept = resolve_classes((chosen, names[0 if chosen != names[0] else 1]), names, "f")
    assert names[kept[0]] == chosen


def test_numbers_that_cannot_be_mistaken_are_labels() -> None:
    assert resolve_classes((1, 2), ("0", "1", "2", "3"), "digits") == (1, 2)
    assert resolve_classes((1, 2), ("000", "001", "002", "x"), "farm") == (1, 2)
    assert resolve_classes((0, 2), ("10", "20", "30"), "farm") == (0, 2)
    assert resolve_classes((0, 1), ("maybe", "no", "yes"), "farm") == (0, 1)


def test_names_are_compared_in_composed_characters() -> None:
    assert resolve_classes(("cafe\u0301", "a"), ("a", "b", "caf\xe9"), "farm") == (2, 0)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"\['bee'\] keeps one class; at least two"):
        resolve_classes(("bee",), NAMES, "farm")
    with pytest.raises(InputError, match="source farm has one class; at least two"):
        resolve_classes(None, ("bee",), "farm")


def _data() -> LabelledImages:
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    return LabelledImages(images, np.array([2, 0, 3, 2, 1]))


def test_kept_classes_are_relabelled() -> None:
    kept = keep_classes(_data(), (3, 2))
    assert kept.images.ravel().tolist() == [0, 2, 3]
    assert kept.labels.tolist() == [1, 0, 1]
    assert kept.labels.dtype == np.int64


def test_keeping_all_copies_no_image() -> None:
    data = _data()
    kept = keep_classes(data, (0, 1, 2, 3))
    assert kept.images is data.images
    assert kept.labels.tolist() == [2, 0, 3, 2, 1]


def test_class_above_all_labels_present() -> None:
    kept = keep_classes(LabelledImages(_data().images[:1], np.array([0])), (7,))
    assert kept.images.shape == (0, 1, 1, 1)
    assert kept.labels.tolist() == []
