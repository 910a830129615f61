"""Replay that classifies by the nearest mean of exemplars.

Rebuffi et al., "iCaRL: Incremental Classifier and Representation Learning", CVPR 2017:
an image belongs to the class whose exemplars' mean embedding is nearest, so that no
head can be biased towards the newest classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.methods.method import Method, without

if TYPE_CHECKING:
    from daformer_kedro.model import DAFormer


def classify_by_means(model: DAFormer, features: Tensor, targets: Tensor) -> None:
    """Let the model classify by the nearest class mean from now on, in place.

    Embeddings and means are of length 1, as in iCaRL (algorithm 1).

    Args:
        model: once a task is learnt.
        features: (N, E) embeddings of the exemplars.
        targets: (N,) their classes; each class has at least one.
    """
    unit = F.normalize(features.float(), dim=1)
    sums = torch.zeros(model.num_classes, unit.shape[1])
    sums.index_add_(0, targets.cpu().long(), unit.cpu())
    model.class_means = F.normalize(sums, dim=1).to(model.pos_embed.device)


NEAREST_MEAN = Method(
    label="replay, nearest mean ({edition})",
    overlay={"losses": without("teacher"), "finetuning": {"epochs": 0}},
    finish=classify_by_means,
)
