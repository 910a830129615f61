"""Divergence of a student's shares from a teacher's."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Shares(NamedTuple):
    """A teacher's softmax, which no pass of the student changes.

    Attributes:
        shares: (B, K).
        logarithms: (B, K).
    """

    shares: Tensor
    logarithms: Tensor


@torch.no_grad()
def shares_of(scores: Tensor) -> Shares:
    """Return the softmax of (B, K) scores along the last axis."""
    logarithms = F.log_softmax(scores, dim=1)
    return Shares(logarithms.exp(), logarithms)


def divergence(teacher: Shares, student_scores: Tensor, scale: float) -> Tensor:
    """Kullback-Leibler divergence from the teacher, summed over B and K.

    Args:
        teacher: the shares to keep.
        student_scores: (B, K) before the softmax.
        scale: factor of the sum.
    """
    gains = F.log_softmax(student_scores, dim=1) - teacher.logarithms
    return (teacher.shares * gains).sum() * -scale
