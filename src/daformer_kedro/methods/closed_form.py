"""The form of a method that adds statistics of each task and trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from daformer_kedro.methods.method import Method, without

if TYPE_CHECKING:
    from torch import nn

Statistics = Mapping[str, Tensor]
"""Sums over all images seen so far, by name."""


@dataclass(frozen=True, eq=False)
class TaskFeatures:
    """Features of one task's training images.

    Attributes:
        features: (N, E) float32.
        targets: (N,) int64, their classes.
        sample_index: (N,) int64, their positions among all training images of the
            source, the same in whatever order classes arrive.
        num_classes: classes seen so far, this task's included.
        seed: the run's.
    """

    features: Tensor
    targets: Tensor
    sample_index: Tensor
    num_classes: int
    seed: int


class ClosedFormMethod(Method):
    """Statistics of a fixed encoder's features, and a classifier worked out from them.

    No image is kept, and nothing is forgotten: sums do not depend on the order in which
    classes arrive, nor on their division into tasks.
    """

    has_editions = False
    trains = False
    carries = True

    def overlay(self) -> Mapping[str, Any]:
        """Return the encoder's own features, no memory and no training."""
        return {
            "model": {"decoder": "mean", "embed_dim": None, "num_heads": 1},
            "memory": {"keep": "nothing"},
            "losses": without("teacher", "divergence_head"),
            "finetuning": {"epochs": 0},
        }

    def add_task(self, before: Statistics | None, task: TaskFeatures) -> Statistics:
        """Return the statistics with those of one more task.

        Args:
            before: of the tasks before; ``None`` for the first.
            task: what there is to add.
        """
        raise NotImplementedError

    def classifier(self, statistics: Statistics) -> nn.Module:
        """Work out what classifies, see :mod:`~daformer_kedro.methods.classifiers`."""
        raise NotImplementedError


def class_sums(features: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Sum features (N, M) by class: (C, M) float64."""
    sums = features.new_zeros((num_classes, features.shape[1])).double()
    return sums.index_add_(0, targets, features.double())


def with_rows(table: Tensor, num_classes: int) -> Tensor:
    """Return (C', ...) with rows of zeros for the classes that have come since."""
    grown = table.new_zeros((num_classes, *table.shape[1:]))
    grown[: len(table)] = table
    return grown
