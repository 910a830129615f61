"""K-nearest-neighbour-invariant distillation.

The paper's abstract asks that the new model keep the neighbourhood relationship of
every sample; it gives no formula. The one here is our reading of that sentence:

    L = mean_i KL( p_old(. | i)  ||  p_new(. | i) )
    p(j | i) = softmax over j in N_K(i) of cos(z_i, z_j) / temperature

where N_K(i) are the K nearest neighbours of sample i under the teacher, and z are the
concatenated embeddings of the tasks that the teacher knows.
"""

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
        # Unlike an indexed assignment, copies no number to the device.
        similarity.scatter_(1, chunk[:, None], -torch.inf)
        found.append(similarity.topk(num, dim=1).indices)
    return torch.cat(found)


def neighbourhood_divergence(
    student: Tensor,
    teacher: Tensor,
    student_neighbours: Tensor,
    teacher_neighbours: Tensor,
    temperature: float,
) -> Tensor:
    """Mean KL divergence between two models' neighbour distributions.

    Args:
        student: (B, E) embeddings of the anchors; gradients flow into them.
        teacher: (B, F) the same anchors under the teacher; no gradient.
        student_neighbours: (B, K, E).
        teacher_neighbours: (B, K, F); no gradient.
        temperature: divides the cosine similarities.

    Returns:
        A scalar; zero where the distributions agree, or where K is 0.
    """
    new = _log_distribution(student, student_neighbours, temperature)
    with torch.no_grad():
        old = _log_distribution(teacher, teacher_neighbours, temperature)
    return F.kl_div(new, old, reduction="none", log_target=True).sum(1).mean()


def _log_distribution(
    anchors: Tensor, neighbours: Tensor, temperature: float
) -> Tensor:
    anchors = F.normalize(
        anchors.float() if anchors.dtype.itemsize < 4 else anchors, dim=-1
    )
    neighbours = F.normalize(neighbours.to(anchors.dtype), dim=-1)
    similarity = torch.einsum("be,bke->bk", anchors, neighbours)
    return F.log_softmax(similarity / temperature, dim=1)


def knn_distillation_loss(
    student: Tensor, teacher: Tensor, num_neighbours: int, temperature: float
) -> Tensor:
    """The loss with neighbours taken from the batch (``scope: batch``).

    A batch of B samples has B - 1 possible neighbours: fewer than K of them means all
    are used, and a batch of one sample gives zero.

    Args:
        student: (B, E) embeddings under the student.
        teacher: (B, F) embeddings of the same images under the teacher.
        num_neighbours: K.
        temperature: divides the cosine similarities.
    """
    if len(student) < 2:
        return student.sum() * 0.0
    with torch.no_grad():
        teacher = teacher.detach()
        neighbours = find_neighbours(teacher, num_neighbours, chunk_size=len(teacher))
    return neighbourhood_divergence(
        student, teacher, student[neighbours], teacher[neighbours], temperature
    )


class FeatureBank:
    """The student's latest features of all task data (``scope: dataset``).

    Starts as the teacher's features and follows the student as samples are seen.

    Args:
        teacher_features: (N, E) of the task data, un-augmented.
        neighbours: (N, K) positions, from :func:`find_neighbours`.
    """

    def __init__(self, teacher_features: Tensor, neighbours: Tensor) -> None:
        self.teacher_features = F.normalize(teacher_features, dim=1)
        self.neighbours = neighbours
        self.student_features = self.teacher_features.clone()

    def loss(
        self, student: Tensor, teacher: Tensor, rows: Tensor, temperature: float
    ) -> Tensor:
        """The loss for anchors whose neighbours lie in the bank.

        Args:
            student: (B, E) embeddings of the augmented anchors.
            teacher: (B, E) of the same images under the teacher.
            rows: (B,) positions of the anchors in the task data.
            temperature: divides the cosine similarities.
        """
        if self.neighbours.shape[1] == 0:
            return student.sum() * 0.0
        neighbours = self.neighbours[rows]
        return neighbourhood_divergence(
            student,
            teacher,
            self.student_features[neighbours],
            self.teacher_features[neighbours],
            temperature,
        )

    @torch.no_grad()
    def refresh(self, student: Tensor, rows: Tensor, momentum: Tensor) -> None:
        """Move the bank towards what the student sees now.

        Args:
            student: (B, E) embeddings of the batch.
            rows: (B,) positions; a position may come more than once.
            momentum: scalar or (B,), in [0, 1]: how far to move. A mixed image moves
                it by how much it is still itself.
        """
        moved = F.normalize(student.detach().to(self.student_features.dtype), dim=1)
        repeats = (rows[:, None] == rows[None, :]).sum(1)
        share = (momentum / repeats).reshape(-1, 1)
        self.student_features.index_add_(
            0, rows, (moved - self.student_features[rows]) * share
        )


def neighbourhood_preservation(
    teacher_neighbours: Tensor, student_features: Tensor
) -> float:
    """Share of each sample's teacher neighbours that the student keeps.

    Args:
        teacher_neighbours: (N, K) positions, from :func:`find_neighbours`.
        student_features: (N, E) of the same un-augmented samples.

    Returns:
        Mean over samples, in [0, 1].
    """
    kept = find_neighbours(student_features, teacher_neighbours.shape[1])
    same = teacher_neighbours[:, :, None] == kept[:, None, :]
    return float(same.any(2).double().mean())
