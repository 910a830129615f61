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
        weights: (N,) float64 of the images in sums over classes; ``None`` where all
            weigh the same. A class arrives whole, so its weight follows from its task.
        views: features of augmented versions of the same images, (N, E) each.
    """

    features: Tensor
    targets: Tensor
    sample_index: Tensor
    num_classes: int
    seed: int
    weights: Tensor | None = None
    views: tuple[Tensor, ...] = ()

    @property
    def versions(self) -> tuple[Tensor, ...]:
        """Features of the images as they are, then of augmented versions of them."""
        return self.features, *self.views


class Classifiers(NamedTuple):
    """Classifiers that a method works out of its statistics.

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
    trains = False
    is_upper_bound = True
    carries = True

    def overlay(self) -> Mapping[str, Any]:
        """Return the encoder's own features, no memory and no training."""
        return {
            "model": {"decoder": "mean", "embed_dim": None},
            "memory": {"keep": "nothing"},
            "losses": without("teacher", "divergence_head"),
            "finetuning": {"epochs": 0},
        }

    def add_task(self, before: Statistics | None, task: TaskFeatures) -> Statistics:
        """Return the statistics with those of one more task.

        Here those that every method needs: class sums and counts, and the features of
        held-out images that are kept.

        Args:
            before: of the tasks before; ``None`` for the first.
            task: what there is to add.
        """
        kept = chosen_rows(task.targets, task.sample_index)
        added = {
            **_sums(task, torch.arange(len(task.targets)), ""),
            **_sums(task, kept, "kept_"),
        }
        features, targets = task.features[kept].half(), task.targets[kept]
        if before is not None:
            added = {
                name: value + with_rows(before[name], task.num_classes)
                for name, value in added.items()
            }
            features = torch.cat([before["kept_features"], features])
            targets = torch.cat([before["kept_targets"], targets])
        return {**added, "kept_features": features, "kept_targets": targets}

    def classifiers(self, statistics: Statistics) -> Classifiers:
        """Work out what classifies, see :mod:`~daformer_kedro.methods.classifiers`."""
        raise NotImplementedError


def held_out_of(statistics: Statistics) -> HeldOut:
    """Return what the statistics hold of held-out images."""
    sums, counts = statistics["sums"], statistics["counts"]
    others = counts - statistics["kept_counts"]
    return HeldOut(
        statistics["kept_features"].float(),
        statistics["kept_targets"],
        fitted_means=((sums - statistics["kept_sums"]) / others[:, None]).float(),
        means=(sums / counts[:, None]).float(),
    )


def _sums(task: TaskFeatures, rows: Tensor, prefix: str) -> dict[str, Tensor]:
    """Return class sums (C, E) over all versions of some images, and how many (C,)."""
    targets, num = task.targets[rows], task.num_classes
    sums = sum(class_sums(version[rows], targets, num) for version in task.versions)
    assert isinstance(sums, Tensor)
    counts = len(task.versions) * torch.bincount(targets, minlength=num)
    return {f"{prefix}sums": sums, f"{prefix}counts": counts}


def class_sums(features: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Sum features (N, M) by class: (C, M) float64."""
    sums = features.new_zeros((num_classes, features.shape[1])).double()
    return sums.index_add_(0, targets, features.double())


def with_rows(table: Tensor, num_classes: int) -> Tensor:
    """Return (C', ...) with rows of zeros for the classes that have come since."""
    grown = table.new_zeros((num_classes, *table.shape[1:]))
    grown[: len(table)] = table
    return grown
