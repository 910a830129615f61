from typing import Any

import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays


def _parts(**changes: Any) -> dict[str, Any]:
    parts = {
        "train_images": np.zeros((4, 8, 8, 3), np.uint8),
        "train_labels": np.array([0, 1, 1, 0]),
        "test_images": np.zeros((2, 8, 8, 3), np.uint8),
        "test_labels": np.array([1, 0]),
        "class_names": ("cat", "dog"),
    }
    return parts | changes


def test_properties_come_from_the_arrays() -> None:
    images = ImageArrays(**_parts())
    assert images.image_size == 8
    assert images.num_channels == 3
    assert images.num_classes == 2


def test_memory_maps_are_kept_as_they_are(tmp_path: Any) -> None:
    np.save(tmp_path / "train.npy", np.zeros((4, 8, 8, 3), np.uint8))
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    images = ImageArrays(**_parts(train_images=mapped))
    assert images.train_images is mapped


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": np.zeros((4, 8, 8, 3))},
            "train_images are float64; they must be uint8",
        ),
        (
            {"test_images": np.zeros((2, 8, 7, 3), np.uint8)},
            r"test_images have shape \(2, 8, 7, 3\)",
        ),
        (
            {"train_images": np.zeros((4, 8, 8), np.uint8)},
            r"train_images have shape \(4, 8, 8\)",
        ),
        (
            {"test_images": np.zeros((0, 8, 8, 3), np.uint8)},
            r"test_images have shape \(0, 8, 8, 3\)",
        ),
        (
            {"test_images": np.zeros((2, 8, 8, 1), np.uint8)},
            r"test_images are \(8, 8, 1\).*train_images are \(8, 8, 3\)",
        ),
        (
            {"train_labels": np.array([0, 1, 1, 0], np.int32)},
            "train_labels are int32; they must be int64",
        ),
        (
            {"train_labels": np.array([0, 1, 1])},
            r"train_labels have shape \(3,\); it must be \(4,\)",
        ),
        (
            {"test_labels": np.array([0, 2])},
            "test_labels reach from 0 to 2; labels of 2 classes are 0..1",
        ),
        (
            {"train_labels": np.array([0, -1, 1, 0])},
            "train_labels reach from -1 to 1",
        ),
        (
            {"test_labels": np.array([1, 1])},
            "test_labels: no image of cat; every class needs at least one",
        ),
        ({"class_names": ()}, "class_names is empty"),
        ({"class_names": ("cat", "cat")}, "class_names holds a name twice: cat"),
    ],
)
def test_faulty_arrays_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageArrays(**_parts(**changes))


def test_many_absent_classes_are_counted() -> None:
    names = tuple(f"class{number}" for number in range(14))
    with pytest.raises(InputError, match=r"class2, .*class11 and 2 more"):
        ImageArrays(**_parts(class_names=names))
