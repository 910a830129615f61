import numpy as np
import pytest
from sklearn.datasets import load_digits

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources import read_source


def test_shapes_and_split_sizes() -> None:
    images = read_source(SourceConfig())
    # 1797 images; scikit-learn rounds the test share up: ceil(359.4) = 360.
    assert images.train_images.shape == (1437, 8, 8, 1)
    assert images.test_images.shape == (360, 8, 8, 1)
    assert images.class_names == tuple("0123456789")
    counts = np.bincount(images.test_labels)
    totals = counts + np.bincount(images.train_labels)
    assert (np.abs(counts - 0.2 * totals) < 1).all()  # a fifth of each class


def test_values_are_scaled_to_bytes() -> None:
    images = read_source(SourceConfig())
    # v * 255 / 16 for v = 0, 1, 2, …, 16, rounded: 15.94 -> 16, 127.5 -> 128, …
    expected = [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223]
    assert np.unique(images.train_images).tolist() == [*expected, 239, 255]


def _rows(images: ImageArrays) -> list[bytes]:
    return [image.tobytes() for image in images.train_images]


def test_every_image_is_in_one_split_in_its_old_order() -> None:
    images = read_source(SourceConfig())
    raw = np.round(load_digits().images * 15.9375).astype(np.uint8)
    place = {image.tobytes(): row for row, image in enumerate(raw)}
    assert len(place) == 1797  # all images differ
    train = [place[image.tobytes()] for image in images.train_images]
    test = [place[image.tobytes()] for image in images.test_images]
    assert train == sorted(train)
    assert test == sorted(test)
    assert sorted(train + test) == list(range(1797))
    np.testing.assert_array_equal(load_digits().target[test], images.test_labels)


def test_split_depends_on_its_seed_and_fraction() -> None:
    default = _rows(read_source(SourceConfig()))
    assert _rows(read_source(SourceConfig(split_seed=0))) == default
    assert _rows(read_source(SourceConfig(split_seed=1))) != default
    assert len(_rows(read_source(SourceConfig(test_fraction=0.5)))) == 898


def test_subset_is_tested_on_the_same_images_as_the_whole() -> None:
    whole = read_source(SourceConfig())
    subset = read_source(SourceConfig(classes=("7", 2)))
    assert subset.class_names == ("7", "2")
    np.testing.assert_array_equal(
        subset.test_images[subset.test_labels == 0],
        whole.test_images[whole.test_labels == 7],
    )


@pytest.mark.parametrize(
    "config", [SourceConfig(test_fraction=0.001), SourceConfig(split_seed=2**32)]
)
def test_impossible_split(config: SourceConfig) -> None:
    with pytest.raises(
        InputError,
        match=r"source.test_fraction = .* with source.split_seed = .* cannot",
    ):
        read_source(config)
