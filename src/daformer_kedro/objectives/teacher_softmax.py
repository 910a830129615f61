"""Softmax of a teacher, and the divergence of a student from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class TeacherSoftmax(NamedTuple):
    """A teacher's softmax, which no pass of the student changes.

    Attributes:
        probabilities: (B, K).
        log_probabilities: (B, K).
    """

    probabilities: Tensor
    log_probabilities: Tensor


@torch.no_grad()
def teacher_softmax(scores: Tensor) -> TeacherSoftmax:
    """Return the softmax of (B, K) scores along the last axis."""
    log_probabilities = F.log_softmax(scores, dim=1)
    return TeacherSoftmax(log_probabilities.exp(), log_probabilities)


def divergence(teacher: TeacherSoftmax, student_scores: Tensor, scale: float) -> Tensor:
    """Kullback-Leibler divergence from the teacher, summed over B and K.

    Args:
        teacher: the distributions to keep.
        student_scores: (B, K) before the softmax.
        scale: factor of the sum.
    """
    gains = F.log_softmax(student_scores, dim=1) - teacher.log_probabilities
    return (teacher.probabilities * gains).sum() * -scale
