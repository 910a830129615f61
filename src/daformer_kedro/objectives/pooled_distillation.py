"""Pooled outputs distillation (POD) of the encoder's blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from daformer_kedro.objectives.batch import Batch
from daformer_kedro.objectives.term import Need, Term
from daformer_kedro.validation import STRICT


@dataclass(frozen=True, config=STRICT)
class PooledDistillation(Term):
    """Keep pooled maps of every encoder block but the last as the teacher has them.

    Douillard et al., PODNet, ECCV 2020; off in the published recipe.
    """

    @property
    def needs(self) -> frozenset[Need]:
        """A teacher, and the blocks' outputs."""
        return frozenset({"teacher", "blocks"})

    def __call__(self, batch: Batch) -> Tensor:
        """See :func:`pooled_distillation_loss`."""
        assert batch.teacher is not None
        new, old = batch.student.blocks, batch.teacher.blocks
        assert new is not None
        assert old is not None
        return pooled_distillation_loss(new[:-1], old[:-1])


def pooled_distillation_loss(
    new_maps: Sequence[Tensor],
    old_maps: Sequence[Tensor],
    scale: float = 1.0,
) -> Tensor:
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


def _pooled(features: Tensor) -> Tensor:
    if features.ndim == 3:
        width = round(features.shape[1] ** 0.5)
        features = features.unflatten(1, (width, width))
    parts = (features.mean(dim=3).flatten(1), features.mean(dim=2).flatten(1))
    return F.normalize(torch.cat(parts, dim=1), dim=1)
