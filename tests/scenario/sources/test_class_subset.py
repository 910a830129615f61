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
        (("dogs",), "farm has no class 'dogs'; did you mean 'dog'. Its classes: ant, "),
        (("3",), "farm has no class '3'; Its classes"),
        (
            (1, 0, 2, 3),
            "names all 4 classes of farm in another order.*scenario.class_order",
        ),
    ],
)
def test_faulty_lists_are_refused(classes: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_classes(classes, NAMES, "farm")


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
