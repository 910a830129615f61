"""Out-of-distribution score: how little an image resembles what was learnt.

The cosine distance of an image's embedding to the nearest exemplar's (Sun et al.,
"Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022, with the
rehearsal memory as the bank), or to the nearest class mean where a method keeps those
and no image. Without either, the energy of the logits is used (Liu et al.,
"Energy-based Out-of-distribution Detection", NeurIPS 2020). Tables and exported models
call it the *unknown score*.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_CHUNK = 1024
SHARE_KEPT = 0.95
"""Of known images, that a threshold lets pass."""


def distance_to_bank(embeddings: Tensor, bank: Tensor) -> Tensor:
    """Return the cosine distance to the nearest embedding of the bank.

    Args:
        embeddings: (N, E).
        bank: (M, E) of exemplars or classes.

    Returns:
        (N,) from 0, the same, to 2, the opposite.
    """
    bank = F.normalize(bank.float(), dim=1)
    nearest = [
        (F.normalize(chunk.float(), dim=1) @ bank.T).max(dim=1).values
        for chunk in embeddings.split(_CHUNK)
    ]
    return 1 - torch.cat(nearest)


def nearest_in_bank(
    embeddings: Tensor, bank: Tensor, num: int
) -> tuple[Tensor, Tensor]:
    """Return cosine distances and positions, (N, K) each, nearest first."""
    similarity = (
        F.normalize(embeddings.float(), dim=1) @ F.normalize(bank.float(), dim=1).T
    )
    found = similarity.topk(min(num, len(bank)), dim=1)
    return 1 - found.values, found.indices


def energy(logits: Tensor) -> Tensor:
    """Return the free energy (N,) of logits (N, C): high where no class is likely."""
    return -logits.logsumexp(dim=1)


def threshold_of(bank: Tensor) -> float | None:
    """Return the score that 95 % of the exemplars stay below, by leave-one-out.

    Args:
        bank: (M, E) of exemplars.

    Returns:
        ``None`` for fewer than two exemplars.
    """
    if len(bank) < 2:
        return None
    unit = F.normalize(bank.float(), dim=1)
    nearest = []
    # In chunks: the whole square is gigabytes for the memory of a thousand classes.
    for start, chunk in enumerate(unit.split(_CHUNK)):
        similarity = chunk @ unit.T
        similarity.diagonal(start * _CHUNK).fill_(-1)  # not itself
        nearest.append(similarity.max(dim=1).values)
    return quantile_kept(1 - torch.cat(nearest))


def quantile_kept(scores: Tensor) -> float | None:
    """Return the score that 95 % of known images (N,) stay below; ``None`` for none."""
    if not len(scores):
        return None
    return float(torch.quantile(scores.double(), SHARE_KEPT))


def measure_detection(
    scores: Tensor, is_unknown: Tensor, threshold: float | None
) -> dict[str, Any]:
    """Measure how well a score separates classes not learnt yet from learnt ones.

    Args:
        scores: (N,).
        is_unknown: (N,) bool: the image's class comes with a later task.
        threshold: images above it are rejected; ``None`` for no threshold.

    Returns:
        ``auroc``, ``num_known``, ``num_unknown``; with a threshold also
        ``known_kept`` and ``unknown_rejected``, fractions of 1.
    """
    # More than a second to import, and whoever only classifies does not need it.
    from sklearn.metrics import roc_auc_score

    known, unknown = scores[~is_unknown], scores[is_unknown]
    found: dict[str, Any] = {
        "auroc": float(roc_auc_score(is_unknown.numpy(), scores.numpy())),
        "num_known": len(known),
        "num_unknown": len(unknown),
    }
    if threshold is not None:
        found["known_kept"] = float((known <= threshold).double().mean())
        found["unknown_rejected"] = float((unknown > threshold).double().mean())
    return found
