"""The embedded source: 8 × 8 grey images of handwritten digits, from scikit-learn."""

from __future__ import annotations

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.source import LabelledImages, SourceMetadata

_HIGHEST_VALUE = 16


class Digits:
    """1,797 images without a test set; a stratified share is held out as one."""

    licence = (
        "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, UCI "
        "Machine Learning Repository), CC BY 4.0."
    )

    def metadata(self, config: SourceConfig) -> SourceMetadata:
        """Return ten classes of 8 × 8 grey images."""
        return SourceMetadata(
            class_names=tuple(str(digit) for digit in range(10)),
            image_size=8,
            num_channels=1,
        )

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Load the digits and split them; rows keep scikit-learn's order.

        Raises:
            InputError: ``test_fraction`` or ``split_seed`` allows no such split.
        """
        from sklearn.datasets import load_digits

        digits = load_digits()
        scaled = np.rint(digits.images * (255 / _HIGHEST_VALUE)).astype(np.uint8)
        images = scaled[..., np.newaxis]
        labels = digits.target.astype(np.int64)
        train_rows, test_rows = _split(labels, config)
        return (
            LabelledImages(images[train_rows], labels[train_rows]),
            LabelledImages(images[test_rows], labels[test_rows]),
        )


def _split(labels: np.ndarray, config: SourceConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training and of the test images, both rising."""
    from sklearn.model_selection import train_test_split

    try:
        train_rows, test_rows = train_test_split(
            np.arange(len(labels)),
            test_size=config.test_fraction,
            random_state=config.split_seed,
            stratify=labels,
        )
    except ValueError as error:
        raise InputError(
            f"source.test_fraction = {config.test_fraction} with source.split_seed = "
            f"{config.split_seed} cannot split {len(labels)} images of 10 classes: "
            f"{error}"
        ) from error
    return np.sort(train_rows), np.sort(test_rows)


DIGITS = Digits()
