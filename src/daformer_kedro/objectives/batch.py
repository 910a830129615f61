"""The inputs of the training loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from torch import Tensor

T = TypeVar("T")
Kind = Literal["binary", "softmax"]

if TYPE_CHECKING:
    from daformer_kedro.model import DAFormerOutput


@dataclass(frozen=True)
class Batch:
    """Values that a loss term may read of one batch.

    Attributes:
        student: output of the model that trains.
        targets: (B, C) soft targets over all classes seen.
        rows: (B,) position in the task data of the image that each sample shows most.
        sources: (S, B) positions of all S images that each sample is mixed from.
        own_share: λ, the share of the first source in the mixture, a scalar.
        teacher: output of the model before the task for the same images, where a term
            needs it.
        num_old_classes: classes of earlier tasks; they come first. 0 in the first task.
        num_old_tasks: earlier tasks, which the teacher knows.
        kind: cross-entropy of the classification loss, ``binary`` or ``softmax``.
    """

    student: DAFormerOutput
    targets: Tensor
    rows: Tensor
    sources: Tensor
    own_share: Tensor
    teacher: DAFormerOutput | None = None
    num_old_classes: int = 0
    num_old_tasks: int = 0
    kind: Kind = "binary"
    _found: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def unmixed(
        cls, student: DAFormerOutput, targets: Tensor, rows: Tensor, **others: Any
    ) -> Batch:
        """Make a batch of the unmixed images at ``rows``."""
        whole = targets.new_ones(())
        return cls(student, targets, rows, rows[None], whole, **others)

    def seen_by(self, student: DAFormerOutput) -> Batch:
        """The same batch with another output of the student."""
        return replace(self, student=student)

    def once(self, name: str, find: Callable[[], T]) -> T:
        """Return what does not depend on the student, found once for all its outputs.

        Sharpness-aware minimisation asks for the loss twice a step.

        Args:
            name: of the result, with the term's own in front.
            find: works it out.
        """
        if name not in self._found:
            self._found[name] = find()
        return self._found[name]
