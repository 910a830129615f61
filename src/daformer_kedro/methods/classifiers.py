"""Classifiers that are worked out, not trained; they answer instead of the heads."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_TEMPERATURE = 0.1
"""Brings cosines and regressed one-hot targets, which differ by tenths, to the size of
logits: the softmax is calibrated from there."""


class NearestMeans(nn.Module):
    """Cosine similarity to the mean of each class.

    Args:
        means: (C, E), of any length.
    """

    means: Tensor

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", F.normalize(means.float(), dim=1))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings (T, B, D), E = T·D, to logits (B, C)."""
        cosines = F.normalize(_concatenated(embeddings), dim=1) @ self.means.T
        return cosines / _TEMPERATURE


class LinearClassifier(nn.Module):
    """Linear map of the embedding, or of random features of it.

    The random features are ReLU(e P), with P as McDonnell et al., "RanPAC", NeurIPS
    2023, draw it.

    Args:
        weight: (C, M).
        projection: P (E, M); ``None`` for the embedding itself, M = E.
    """

    weight: Tensor
    projection: Tensor | None

    def __init__(self, weight: Tensor, projection: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("projection", projection)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings (T, B, D), E = T·D, to logits (B, C)."""
        features = random_features(_concatenated(embeddings), self.projection)
        return features @ self.weight.T / _TEMPERATURE


def random_features(embeddings: Tensor, projection: Tensor | None) -> Tensor:
    """Map embeddings (N, E) to ReLU(e P), (N, M), or to themselves without P."""
    return embeddings if projection is None else (embeddings @ projection).relu()


def _concatenated(embeddings: Tensor) -> Tensor:
    """(T, B, D) as (B, T·D) in float32."""
    return embeddings.transpose(0, 1).flatten(1).float()
