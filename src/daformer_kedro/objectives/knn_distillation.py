"""K-nearest-neighbour-invariant distillation.

The paper's abstract asks that the new model keep the neighbourhood relationship of
every sample; it gives no formula. The one here is our reading of that sentence:

    L = mean_i KL( p_old(. | i)  ||  p_new(. | i) )
    p(j | i) = softmax over j in N_K(i) of cos(z_i, z_j) / temperature

where N_K(i) are the K nearest neighbours of sample i under the teacher, and z are the
concatenated embeddings of the tasks that the teacher knows. Both models see the same
augmented and mixed images, so the loss of equal models is zero.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from daformer_kedro.objectives.batch import Batch
from daformer_kedro.objectives.neighbourhood import concatenate_tasks
from daformer_kedro.objectives.teacher_softmax import (
    TeacherSoftmax,
    divergence,
    teacher_softmax,
)
from daformer_kedro.objectives.term import Need, Neighbourhood, RunningTerm, Term
from daformer_kedro.validation import STRICT, PositiveFloat

_SMALLEST_NORM = 1e-12  # as in torch.nn.functional.normalize


@dataclass(frozen=True, config=STRICT)
class KNNDistillation(Term):
    """Keep each sample's neighbours as near as the teacher has them.

    Attributes:
        num_neighbours: K, at least 2: the share of a single neighbour is always 1,
            under any model.
        temperature: divides the cosine similarities before the softmax.
        scope: take neighbours from the ``batch`` or from the whole task data
            (``dataset``).
    """

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    num_neighbours: Annotated[int, Field(ge=2)] = 10
    temperature: PositiveFloat = 0.1
    scope: Literal["batch", "dataset"] = "batch"

    @property
    def needs(self) -> frozenset[Need]:
        """A teacher, and over the data set its neighbours of all task data."""
        if self.scope == "dataset":
            return frozenset({"teacher", "neighbourhood"})
        return frozenset({"teacher"})

    def begin(self, neighbourhood: Neighbourhood | None) -> RunningTerm:
        """Return the term; over the data set, with a bank of features."""
        if self.scope == "batch":
            return self
        assert neighbourhood is not None
        return WithFeatureBank(self.temperature, FeatureBank(**neighbourhood))

    def __call__(self, batch: Batch) -> Tensor:
        """See :func:`knn_distillation_loss`."""
        neighbours = batch.once(
            "knn_distillation",
            lambda: batch_neighbours(
                _teachers(batch),
                self.num_neighbours,
                self.temperature,
                no_image_in_common(batch.sources),
            ),
        )
        return knn_distillation_loss(_students(batch), neighbours, self.temperature)

    def check(self, settings: Any) -> None:
        """Refuse batches in which no sample can have two neighbours."""
        size, repeats = settings.training.batch_size, settings.augmentation.repeats
        if self.weight == 0 or self.scope != "batch" or size >= 3 * repeats:
            return
        raise ValueError(
            "losses.knn_distillation.scope = batch compares each image with two others "
            f"at least, and training.batch_size = {size} holds fewer than 3 images "
            f"with augmentation.repeats = {repeats}; allowed: a batch_size of at least "
            f"{3 * repeats}, scope dataset, or weight 0"
        )


class WithFeatureBank:
    """The term over the whole task data, while a task trains.

    Args:
        temperature: divides the cosine similarities.
        bank: features of the task data under both models.
    """

    def __init__(self, temperature: float, bank: FeatureBank) -> None:
        self.temperature = temperature
        self.bank = bank

    def __call__(self, batch: Batch) -> Tensor:
        """See :meth:`FeatureBank.loss`."""
        neighbours = batch.once(
            "knn_distillation",
            lambda: self.bank.neighbours_of(
                _teachers(batch), batch.rows, self.temperature
            ),
        )
        return self.bank.loss(_students(batch), neighbours, self.temperature)

    def after_step(self, batch: Batch) -> None:
        """Move the bank towards what both models saw."""
        momentum = (2 * batch.own_share - 1).abs()
        self.bank.refresh(_students(batch), _teachers(batch), batch.rows, momentum)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the bank's features."""
        return self.bank.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of :meth:`state_dict`."""
        self.bank.load_state_dict(state)


def _students(batch: Batch) -> Tensor:
    """Student's embeddings of the tasks that the teacher knows."""
    return concatenate_tasks(batch.student.embeddings, batch.num_old_tasks)


def _teachers(batch: Batch) -> Tensor:
    """Teacher's embeddings of its tasks."""
    assert batch.teacher is not None
    return concatenate_tasks(batch.teacher.embeddings, batch.num_old_tasks)


def no_image_in_common(sources: Tensor) -> Tensor:
    """Pairs of samples of a batch that show different images.

    Two views of one image are close under any model, and so are a mixture and its
    mirror image: they would push real neighbours out of the K nearest.

    Args:
        sources: (S, B) rows of the S images that each sample is made of.

    Returns:
        (B, B) bool, false on the diagonal.
    """
    shared = sources[:, None, :, None] == sources[None, :, None, :]
    return ~shared.flatten(0, 1).any(0)


class Neighbours(NamedTuple):
    """Neighbours of a batch's samples under the teacher.

    Attributes:
        places: (B, K) int64, in the batch or in the bank.
        softmax: of their cosines under the teacher's cosine.
        handicaps: (B, K), the least number where none may be a neighbour, else 0;
            ``None`` if all may.
    """

    places: Tensor
    softmax: TeacherSoftmax
    handicaps: Tensor | None = None


@torch.no_grad()
def batch_neighbours(
    teacher: Tensor,
    num_neighbours: int,
    temperature: float,
    candidates: Tensor | None = None,
) -> Neighbours:
    """Find each sample's neighbours in its batch (``scope: batch``).

    Args:
        teacher: (B, F) embeddings under the teacher.
        num_neighbours: K; no more than B - 1 are found.
        temperature: divides the cosine similarities.
        candidates: (B, B) bool, whether sample j may be a neighbour of sample i; every
            other sample by default. See :func:`no_image_in_common`.
    """
    num_samples = len(teacher)
    if candidates is None:
        rows = torch.arange(num_samples, device=teacher.device)
        candidates = no_image_in_common(rows[None])
    similarities = _cosine_matrix(teacher).masked_fill(~candidates, -torch.inf)
    best, places = similarities.topk(min(num_neighbours, num_samples - 1), dim=1)
    # The least finite number: the logarithm of an absent share stays finite.
    lowest = torch.finfo(best.dtype).min
    absent = best == -torch.inf
    handicaps = torch.zeros_like(best).masked_fill(absent, lowest)
    scores = _scores(best.masked_fill(absent, 0), temperature, handicaps)
    return Neighbours(places, teacher_softmax(scores), handicaps)


def knn_distillation_loss(
    student: Tensor, neighbours: Neighbours, temperature: float
) -> Tensor:
    """The loss with neighbours taken from the batch (``scope: batch``).

    Where a sample has fewer than K candidates, all of them are its neighbours. A
    sample with at most one has a fixed distribution and adds zero.

    Args:
        student: (B, E) embeddings under the student; gradients flow into them.
        neighbours: of the same images, from :func:`batch_neighbours`.
        temperature: divides the cosine similarities.

    Returns:
        A scalar.
    """
    if len(student) < 2:
        return student.sum() * 0.0
    similarities = _cosine_matrix(student).gather(1, neighbours.places)
    scores = _scores(similarities, temperature, neighbours.handicaps)
    return divergence(neighbours.softmax, scores, 1 / len(student))


class FeatureBank:
    """The latest features of all task data under both models (``scope: dataset``).

    Starts as the teacher's features of the un-augmented images for both. Both follow
    what their model sees, by the same rule and from the same augmented and mixed
    images: equal models have equal banks, and so no loss.

    Args:
        features: (N, E) of the un-augmented task data under the teacher.
        neighbours: (N, K) positions, from :func:`find_neighbours`.
    """

    def __init__(self, features: Tensor, neighbours: Tensor) -> None:
        self.neighbours = neighbours
        self.teacher_features = F.normalize(features, dim=1)
        self.student_features = self.teacher_features.clone()

    @torch.no_grad()
    def neighbours_of(
        self, teacher: Tensor, rows: Tensor, temperature: float
    ) -> Neighbours:
        """Neighbours in the bank, as near as they are under the teacher.

        Args:
            teacher: (B, E) embeddings of augmented images.
            rows: (B,) their positions in the task data.
            temperature: divides the cosine similarities.
        """
        places = self.neighbours[rows]
        similarities = _cosine(teacher, self.teacher_features[places])
        return Neighbours(places, teacher_softmax(_scores(similarities, temperature)))

    def loss(
        self, student: Tensor, neighbours: Neighbours, temperature: float
    ) -> Tensor:
        """The loss for anchors whose neighbours lie in the bank.

        Args:
            student: (B, E) embeddings of the augmented anchors; gradients flow into
                them.
            neighbours: of the same images, from :meth:`neighbours_of`.
            temperature: divides the cosine similarities.

        Returns:
            A scalar; zero where the data hold no more than two samples.
        """
        similarities = _cosine(student, self.student_features[neighbours.places])
        scores = _scores(similarities, temperature)
        return divergence(neighbours.softmax, scores, 1 / len(student))

    @torch.no_grad()
    def refresh(
        self, student: Tensor, teacher: Tensor, rows: Tensor, momentum: Tensor
    ) -> None:
        """Move the bank towards what both models see now.

        Args:
            student: (B, E) embeddings of the batch.
            teacher: (B, E) of the same images under the teacher.
            rows: (B,) positions; a position may come more than once.
            momentum: scalar or (B,), in [0, 1]: how far to move. A mixed image moves
                it by how much it is still itself.
        """
        repeats = (rows[:, None] == rows[None, :]).sum(1)
        share = (momentum / repeats).reshape(-1, 1)
        for bank, seen in (
            (self.student_features, student),
            (self.teacher_features, teacher),
        ):
            moved = F.normalize(seen.detach().to(bank.dtype), dim=1)
            bank.index_add_(0, rows, (moved - bank[rows]) * share)

    def state_dict(self) -> dict[str, Tensor]:
        """Features of both models, as training left them."""
        return {"student": self.student_features, "teacher": self.teacher_features}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of :meth:`state_dict`."""
        self.student_features.copy_(state["student"])
        self.teacher_features.copy_(state["teacher"])


def _unit(features: Tensor) -> Tensor:
    wide = features.float() if features.dtype.itemsize < 4 else features
    return _Unit.apply(wide)


class _Unit(torch.autograd.Function):
    """Vectors of length 1; their gradient takes four operations, not twelve."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
        norms = norms.clamp_min(_SMALLEST_NORM)
        unit = features / norms
        ctx.save_for_backward(unit, norms)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        unit, norms = ctx.saved_tensors
        along = (gradient * unit).sum(dim=-1, keepdim=True)
        return torch.addcmul(gradient, unit, along, value=-1).div_(norms)


def _cosine_matrix(features: Tensor) -> Tensor:
    """Similarity of each sample to each, (B, B)."""
    unit = _unit(features)
    return unit @ unit.T


def _cosine(anchors: Tensor, neighbours: Tensor) -> Tensor:
    """Similarity of anchors (B, E) to neighbours (B, K, E) of their own, (B, K)."""
    unit = _unit(anchors)
    return torch.einsum("be,bke->bk", unit, _unit(neighbours).to(unit.dtype))


def _scores(
    similarities: Tensor, temperature: float, handicaps: Tensor | None = None
) -> Tensor:
    """Similarities (B, K) over the temperature, and handicaps where there are any."""
    if handicaps is None:
        return similarities / temperature
    return torch.add(handicaps, similarities, alpha=1 / temperature)
