"""References of a model: what it is calibrated on and images are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.evaluation.calibration import (
    Calibration,
    Shrinkage,
    fit_calibration,
)
from daformer_kedro.evaluation.out_of_distribution import (
    distance_to_bank,
    energy,
    quantile_kept,
    threshold_of,
)
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import sample_index

_WEIGHT_OF_ONE = 20
"""A temperature of 1 counts as much as so many held-out images."""

Score = Literal["distance", "distance_to_means", "energy"]


@dataclass(frozen=True, eq=False)
class References:
    """Embeddings to compare images with, and logits to calibrate on.

    Attributes:
        score: how unknown images are told.
        embeddings: (M, E) of exemplars or of classes; M is 0 without either.
        targets: (M,) their classes.
        threshold: score above which an image counts as unknown.
        fitted_on: name of the images that ``logits`` are of.
        logits: (K, C).
        logit_targets: (K,).
        shrinkage: how much of a calibration fitted on them is to be believed.
        by_task: whether classes of different tasks may want different biases.
    """

    score: Score = "energy"
    embeddings: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    targets: Tensor = field(default_factory=lambda: torch.empty(0))
    threshold: float | None = None
    fitted_on: Literal["memory", "held_out", "validation"] = "memory"
    logits: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    logit_targets: Tensor = field(default_factory=lambda: torch.empty(0))
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    by_task: bool = True

    def calibration(self, task_sizes: tuple[int, ...]) -> Calibration:
        """Fit a calibration; the identity where there is nothing to fit it on."""
        if not len(self.logits):
            return Calibration()
        sizes = task_sizes if self.by_task else (sum(task_sizes),)
        return fit_calibration(self.logits, self.logit_targets, sizes, self.shrinkage)

    def scores(self, embeddings: Tensor, logits: Tensor) -> Tensor:
        """Return out-of-distribution scores (N,) of images."""
        if not len(self.embeddings):
            return energy(logits)
        return distance_to_bank(embeddings, self.embeddings)


def references_of(
    extractor: Extractor,
    images: Images | EmbeddedImages,
    exemplars: pd.DataFrame | None,
    held_out: Mapping[str, Tensor] | None,
    validation: pd.DataFrame | None = None,
) -> References:
    """Return the references of a model.

    Args:
        extractor: of the model.
        images: the source.
        exemplars: the best of the rehearsal memory, where there is one.
        validation: images that the model has not learnt, where they are set aside; a
            calibration is then fitted on them.
        held_out: what a method in closed form keeps, see
            :func:`~daformer_kedro.pipelines.task.closed_form_nodes.learn_task_node`.
    """
    known = _known(extractor, images, exemplars, held_out)
    if validation is None or validation.empty:
        return known
    _, logits = extractor.extract(images, "train", sample_index(validation))
    share = len(validation) / (len(validation) + _WEIGHT_OF_ONE)
    return replace(
        known,
        fitted_on="validation",
        logits=logits,
        logit_targets=targets_of(validation),
        shrinkage=Shrinkage(share, share),
    )


def _known(
    extractor: Extractor,
    images: Images | EmbeddedImages,
    exemplars: pd.DataFrame | None,
    held_out: Mapping[str, Tensor] | None,
) -> References:
    if held_out is not None:
        return _class_means(held_out)
    if exemplars is None:
        return References()
    embeddings, logits = extractor.extract(images, "train", sample_index(exemplars))
    targets = targets_of(exemplars)
    bank = embeddings.half()
    return References(
        "distance",
        bank,
        targets,
        threshold_of(bank),
        logits=logits,
        logit_targets=targets,
    )


def _class_means(held_out: Mapping[str, Tensor]) -> References:
    """Return class means, and held-out images that the calibrated weights never saw."""
    means, num = held_out["means"], len(held_out["targets"])
    return References(
        "distance_to_means",
        means.half(),
        torch.arange(len(means)),
        quantile_kept(held_out["distances"]),
        fitted_on="held_out",
        logits=held_out["logits"],
        logit_targets=held_out["targets"],
        shrinkage=Shrinkage(num / (num + _WEIGHT_OF_ONE), 0.0),
        by_task=False,
    )
