"""Observations: what a model says of images, as arrays to be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNLABELLED = -1
"""Target of an image without a label, or with that of a class never learnt."""


@dataclass(frozen=True, eq=False)
class Observations:
    """Answers of a model for N images.

    Attributes:
        predicted: (N,) int64, the likeliest class by its position in the class order.
        confidences: (N,) calibrated probability of that class.
        unknown_scores: (N,) out-of-distribution scores.
        embeddings: (N, E) float32; ``None`` where they were not kept.
        targets: (N,) int64, true classes or :data:`UNLABELLED`; ``None`` without any.
    """

    predicted: NDArray[np.int64]
    confidences: NDArray[np.float64]
    unknown_scores: NDArray[np.float64]
    embeddings: NDArray[np.float32] | None = None
    targets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.predicted)

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Observations:
        """Return some of the images, by position or by mask."""
        return Observations(
            self.predicted[rows],
            self.confidences[rows],
            self.unknown_scores[rows],
            None if self.embeddings is None else self.embeddings[rows],
            None if self.targets is None else self.targets[rows],
        )

    def labelled(self) -> Observations:
        """Return the images that have a label of a class that was learnt."""
        has_label = np.zeros(len(self), dtype=bool)
        if self.targets is not None:
            has_label = self.targets != UNLABELLED
        return self.select(has_label)

    @property
    def target(self) -> NDArray[np.int64]:
        """True classes (N,) of images that all have one, see :meth:`labelled`."""
        return np.empty(0, np.int64) if self.targets is None else self.targets

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether each of such images (N,) was predicted as its true class."""
        right: NDArray[np.bool_] = self.predicted == self.target
        return right

    def class_counts(self, num_classes: int) -> NDArray[np.int64]:
        """Return how many images were predicted as each class, (C,)."""
        return np.bincount(self.predicted, minlength=num_classes)


@dataclass(frozen=True, eq=False)
class Baseline:
    """Images and numbers that a stream is compared with.

    Attributes:
        reference: images that the model was not trained on, from before the stream.
        threshold: score above which an image counts as unknown.
        num_classes: C, of the model.
        training_counts: (C,) training images of each class; ``None`` if not known.
    """

    reference: Observations
    threshold: float
    num_classes: int
    training_counts: NDArray[np.int64] | None = None

    def is_unknown(self, observed: Observations) -> NDArray[np.bool_]:
        """Return which images count as unknown."""
        return observed.unknown_scores > self.threshold
