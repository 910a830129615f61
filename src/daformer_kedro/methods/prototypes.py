"""Class means of a fixed encoder: the plainest method on pretrained features.

Zhou et al., "Revisiting Class-Incremental Learning with Pre-Trained Models:
Generalizability and Adaptivity are All You Need", IJCV 2024, call it SimpleCIL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daformer_kedro.methods.classifiers import NearestMeans
from daformer_kedro.methods.closed_form import (
    ClosedFormMethod,
    Statistics,
    TaskFeatures,
    class_sums,
    with_rows,
)

if TYPE_CHECKING:
    from torch import nn


class Prototypes(ClosedFormMethod):
    """The class whose mean feature has the largest cosine."""

    label = "class means of a fixed encoder"
    classifier_types = (NearestMeans,)

    def add_task(self, before: Statistics | None, task: TaskFeatures) -> Statistics:
        """Add the sums of the task's classes."""
        sums = class_sums(task.features, task.targets, task.num_classes)
        if before is not None:
            sums += with_rows(before["sums"], task.num_classes)
        return {"sums": sums}

    def classifier(self, statistics: Statistics) -> nn.Module:
        """Return the nearest class mean."""
        return NearestMeans(statistics["sums"])
