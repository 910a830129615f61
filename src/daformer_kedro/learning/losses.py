"""Terms of the training loss, each for one batch and as one scalar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F


def classification_loss(
    logits: torch.Tensor, targets: torch.Tensor, kind: Literal["binary", "softmax"]
) -> torch.Tensor:
    """Cross-entropy against soft targets.

    ``binary``: mean over images and classes of
    -y log σ(z) - (1 - y) log(1 - σ(z)), as DyTox and DAFormer use it.
    ``softmax``: mean over images of -Σ_c y_c log softmax(z)_c.

    Args:
        logits: (B, C).
        targets: (B, C) soft targets in [0, 1].
        kind: which of the two.
    """
    if kind == "binary":
        return F.binary_cross_entropy_with_logits(logits, targets)
    return F.cross_entropy(logits, targets)


def distillation_weight(num_old: int, num_seen: int) -> float:
    """Weight λ = old classes / classes seen of the distillation term.

    The classification term has 1 - λ (Zhao et al., "Maintaining Discrimination and
    Fairness in Class Incremental Learning", CVPR 2020, and DyTox).
    """
    return num_old / num_seen


def logit_distillation_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher to the student on old classes.

    τ² / (B · C) · Σ_bc p log(p / q) with p = softmax(teacher / τ) and
    q = softmax(student / τ): the mean runs over all elements, as in the released
    code, not over images alone. τ² keeps the gradient's size (Hinton et al., 2015).

    Args:
        student_logits: (B, C) of the old classes.
        teacher_logits: (B, C).
        temperature: τ.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True)
    return divergence.mean() * temperature**2


def divergence_targets(targets: torch.Tensor, num_old: int) -> torch.Tensor:
    """Soft targets of the divergence head: some old class, or which new class.

    Args:
        targets: (B, C) over all classes seen.
        num_old: how many of them are old; they come first.

    Returns:
        (B, 1 + C - num_old): the old classes' sum, then the new classes' targets.
    """
    old = targets[:, :num_old].sum(dim=1, keepdim=True)
    return torch.cat((old, targets[:, num_old:]), dim=1)


def divergence_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    num_old: int,
    kind: Literal["binary", "softmax"] = "binary",
) -> torch.Tensor:
    """Classification loss of the divergence head (DyTox, equation 9).

    Args:
        logits: (B, 1 + new classes).
        targets: (B, C) soft targets over all classes seen.
        num_old: how many of the classes are old.
        kind: see :func:`classification_loss`.
    """
    return classification_loss(logits, divergence_targets(targets, num_old), kind)


def pooled_distillation_loss(
    new_maps: Sequence[torch.Tensor],
    old_maps: Sequence[torch.Tensor],
    scale: float = 1.0,
) -> torch.Tensor:
    """Pooled outputs distillation (POD; Douillard et al., PODNet, ECCV 2020).

    scale · mean over maps and images of ‖u_new / ‖u_new‖ - u_old / ‖u_old‖‖₂, where u
    joins the map's means over its third and over its fourth axis. The released code
    pools axes meant for (batch, channels, width, height) while its maps are
    (batch, w, w, D): it averages over D and over one spatial axis.

    Args:
        new_maps: the student's, each (B, w, w, D), or tokens (B, N, D) with N = w².
        old_maps: the teacher's, of the same shapes.
        scale: factor on the loss.

    Raises:
        ValueError: the two lists have different lengths, or are empty.
    """
    if len(new_maps) != len(old_maps) or not new_maps:
        raise ValueError(
            f"{len(new_maps)} maps of the student and {len(old_maps)} of the teacher: "
            "give the same number of each, at least one"
        )
    distances = [
        torch.linalg.vector_norm(_pooled(new) - _pooled(old), dim=1).mean()
        for new, old in zip(new_maps, old_maps, strict=True)
    ]
    return scale * torch.stack(distances).mean()


def _pooled(features: torch.Tensor) -> torch.Tensor:
    if features.ndim == 3:
        width = round(features.shape[1] ** 0.5)
        features = features.unflatten(1, (width, width))
    parts = (features.mean(dim=3).flatten(1), features.mean(dim=2).flatten(1))
    return F.normalize(torch.cat(parts, dim=1), dim=1)
