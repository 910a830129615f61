"""The form of a method that adds statistics of each task and trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from daformer_kedro.methods.held_out import chosen_rows
from daformer_kedro.methods.method import Method, without

if TYPE_CHECKING:
    from torch import nn

Statistics = Mapping[str, Tensor]
"""Sums over all images seen so far, by name, and features of a few held-out ones."""


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


class Classifiers(NamedTuple):
    """What a method works out of its statistics.

    Attributes:
        final: of all images.
        fitted: of all but held-out images, which can tell how sure it may be.
    """

    final: nn.Module
    fitted: nn.Module


class HeldOut(NamedTuple):
    """Held-out images, to calibrate on, and class means to compare images with.

    Attributes:
        features: (K, E) float32.
        targets: (K,) int64.
        fitted_means: (C, E), class means without these images.
        means: (C, E), with them.
    """

    features: Tensor
    targets: Tensor
    fitted_means: Tensor
    means: Tensor


class ClosedFormMethod(Method):
    """Statistics of a fixed encoder's features, and a classifier worked out from them.

    No image is kept, and nothing is forgotten: sums do not depend on the order in which
    classes arrive, nor on their division into tasks. Features of at most twenty
    held-out images of each class stay apart, to calibrate on.
    """

    has_editions = False

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

        Here those that every method needs: class sums and counts, and the features of
        held-out images.

        Args:
            before: of the tasks before; ``None`` for the first.
            task: what there is to add.
        """
        sums = class_sums(task.features, task.targets, task.num_classes)
        counts = torch.bincount(task.targets, minlength=task.num_classes)
        rows = chosen_rows(task.targets, task.sample_index)
        features, targets = task.features[rows].half(), task.targets[rows]
        if before is not None:
            sums += with_rows(before["sums"], task.num_classes)
            counts += with_rows(before["counts"], task.num_classes)
            features = torch.cat([before["held_features"], features])
            targets = torch.cat([before["held_targets"], targets])
        return {
            "sums": sums,
            "counts": counts,
            "held_features": features,
            "held_targets": targets,
        }

    def classifiers(self, statistics: Statistics) -> Classifiers:
        """Work out what classifies, see :mod:`~daformer_kedro.methods.classifiers`."""
        raise NotImplementedError


def held_out_of(statistics: Statistics) -> HeldOut:
    """Return what the statistics hold of held-out images."""
    features = statistics["held_features"].float()
    targets, sums = statistics["held_targets"], statistics["sums"]
    counts = statistics["counts"]
    apart = class_sums(features, targets, len(sums))
    others = counts - torch.bincount(targets, minlength=len(sums))
    return HeldOut(
        features,
        targets,
        fitted_means=((sums - apart) / others[:, None]).float(),
        means=(sums / counts[:, None]).float(),
    )


def class_sums(features: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Sum features (N, M) by class: (C, M) float64."""
    sums = features.new_zeros((num_classes, features.shape[1])).double()
    return sums.index_add_(0, targets, features.double())


def with_rows(table: Tensor, num_classes: int) -> Tensor:
    """Return (C', ...) with rows of zeros for the classes that have come since."""
    grown = table.new_zeros((num_classes, *table.shape[1:]))
    grown[: len(table)] = table
    return grown
