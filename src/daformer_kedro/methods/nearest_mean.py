"""Replay that classifies by the nearest mean of exemplars.

Rebuffi et al., "iCaRL: Incremental Classifier and Representation Learning", CVPR 2017:
an image belongs to the class whose exemplars' mean embedding is nearest, so that no
head can be biased towards the newest classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.methods.classifiers import NearestMeans
from daformer_kedro.methods.method import Method, without

if TYPE_CHECKING:
    from daformer_kedro.model import DAFormer


class NearestMean(Method):
    """Replay whose model classifies by the nearest class mean."""

    label = "replay, nearest mean ({edition})"
    classifier_types = (NearestMeans,)

    def overlay(self) -> Mapping[str, Any]:
        """Return replay without finetuning: no head is used that it could balance."""
        return {"losses": without("teacher"), "finetuning": {"epochs": 0}}

    def finish(self, model: DAFormer, features: Tensor, targets: Tensor) -> None:
        """Let the model classify by the nearest class mean from now on.

        Embeddings and means are of length 1, as in iCaRL (algorithm 1). Each class has
        at least one exemplar.
        """
        unit = F.normalize(features.float(), dim=1)
        sums = torch.zeros(model.num_classes, unit.shape[1])
        sums.index_add_(0, targets.cpu().long(), unit.cpu())
        model.closed_form = NearestMeans(sums).to(model.device)
