from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources import (
    SourceDescription,
    describe_source,
    read_source,
)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SourceConfig(), SourceDescription("digits", 10, 8, 1)),
        (SourceConfig(name="cifar10"), SourceDescription("cifar10", 10, 32, 3)),
        (
            SourceConfig(name="cifar100", path="no/such/folder"),
            SourceDescription("cifar100", 100, 32, 3),
        ),
        (
            SourceConfig(name="cifar100", classes=("apple", 99, "bear")),
            SourceDescription("cifar100", 3, 32, 3),
        ),
    ],
)
def test_description_needs_no_data(
    config: SourceConfig, expected: SourceDescription
) -> None:
    assert describe_source(config) == expected


def test_faulty_classes_are_refused_without_data() -> None:
    with pytest.raises(InputError, match=r"source.classes: cifar100 has no class"):
        describe_source(SourceConfig(name="cifar100", classes=("apple", "unicorn")))


def test_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError,
        match=r"source.name = 'mnist' is not known; allowed: digits, cifar10, cifar100",
    ):
        describe_source(SimpleNamespace(name="mnist", classes=None))  # type: ignore[arg-type]


def test_subset_is_relabelled_in_the_order_given(
    cifar10_parquet: Path, ten_classes: dict[str, np.ndarray]
) -> None:
    config = SourceConfig(
        name="cifar10", path=str(cifar10_parquet), classes=("dog", "airplane", 9)
    )
    images = read_source(config)
    assert images.class_names == ("dog", "airplane", "truck")
    # Training labels are 0..9, then 9..0: airplane 0 and 19, dog 5 and 14, truck 9, 10.
    rows = [0, 5, 9, 10, 14, 19]
    assert images.train_labels.tolist() == [1, 0, 2, 2, 0, 1]
    np.testing.assert_array_equal(
        images.train_images, ten_classes["train_images"][rows]
    )
    # Test labels: 3 1 4 0 5 9 2 6 8 7.
    assert images.test_labels.tolist() == [1, 0, 2]
    np.testing.assert_array_equal(
        images.test_images, ten_classes["test_images"][[3, 4, 5]]
    )


def test_class_without_images_names_source_and_class(cifar10_folders: Path) -> None:
    for file in (cifar10_folders / "test" / "frog").iterdir():
        file.unlink()
    (cifar10_folders / "test" / "frog").rmdir()
    config = SourceConfig(name="cifar10", path=str(cifar10_folders))
    with pytest.raises(
        InputError,
        match=r"source cifar10 in source.path = .*: test_labels: no image of frog",
    ):
        read_source(config)


def test_absent_class_outside_the_subset_does_not_matter(cifar10_folders: Path) -> None:
    for file in (cifar10_folders / "test" / "frog").iterdir():
        file.unlink()
    (cifar10_folders / "test" / "frog").rmdir()
    config = SourceConfig(
        name="cifar10", path=str(cifar10_folders), classes=("cat", "dog")
    )
    assert read_source(config).num_classes == 2
