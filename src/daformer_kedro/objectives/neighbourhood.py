"""Neighbours of samples by the cosine similarity of their embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def concatenate_tasks(embeddings: Tensor, num_tasks: int) -> Tensor:
    """(T, B, D) task embeddings to (B, num_tasks * D), the first tasks' only."""
    return embeddings[:num_tasks].transpose(0, 1).flatten(1)


def find_neighbours(
    features: Tensor, num_neighbours: int, chunk_size: int = 2048
) -> Tensor:
    """The K most similar other samples of each sample, by cosine.

    Args:
        features: (N, E).
        num_neighbours: K; at most N - 1 are there to be found.
        chunk_size: rows compared at once; memory grows with ``chunk_size * N``.

    Returns:
        (N, min(K, N - 1)) positions, most similar first.
    """
    unit = F.normalize(features, dim=1)
    num = min(num_neighbours, len(unit) - 1)
    rows = torch.arange(len(unit), device=unit.device)
    found = []
    for chunk in rows.split(chunk_size):
        similarity = unit[chunk] @ unit.T
        similarity.masked_fill_(chunk[:, None] == rows, -torch.inf)
        found.append(similarity.topk(num, dim=1).indices)
    return torch.cat(found)


def neighbourhood_preservation(
    teacher_neighbours: Tensor, student_features: Tensor
) -> float | None:
    """Share of each sample's teacher neighbours that the student keeps.

    Args:
        teacher_neighbours: (N, K) positions, from :func:`find_neighbours`.
        student_features: (N, E) of the same un-augmented samples.

    Returns:
        Mean over samples, in [0, 1]; ``None`` for a single sample, which has no
        neighbour to keep.
    """
    if teacher_neighbours.shape[1] == 0:
        return None
    kept = find_neighbours(student_features, teacher_neighbours.shape[1])
    same = teacher_neighbours[:, :, None] == kept[:, None, :]
    return float(same.any(2).double().mean())
