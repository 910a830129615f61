"""The form of a term of the training loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from pydantic.dataclasses import dataclass
from torch import Tensor

from daformer_kedro.objectives.batch import Batch
from daformer_kedro.validation import STRICT, NonNegativeFloat

Need = Literal["teacher", "blocks", "divergence_head", "neighbourhood"]
"""Something that a term may ask for: the model before the task (for all but the first
task), the encoder blocks' outputs of both models, the auxiliary divergence head, and
the teacher's neighbours of all task data, with their features."""

Neighbourhood = Mapping[str, Tensor]
"""``features`` (N, E) of the un-augmented task data under the teacher, and
``neighbours`` (N, K) among them."""


class RunningTerm(Protocol):
    """A term while a task trains."""

    def __call__(self, batch: Batch) -> Tensor:
        """Return the term for a batch, a scalar, before it is weighted."""

    def after_step(self, batch: Batch) -> None:
        """Follow what a step saw; ``batch.student`` is the output before the step."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return what the term has gathered since the task began."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of :meth:`state_dict`."""


@dataclass(frozen=True, config=STRICT)
class Term:
    """Settings and formula of one term; a subclass is one file and one YAML block.

    Attributes:
        weight: factor in the total; 0 switches the term off.
    """

    weight: NonNegativeFloat = 0.0

    @property
    def needs(self) -> frozenset[Need]:
        """Inputs besides the student's logits and embeddings.

        Where a need cannot be met, such as a teacher in the first task, the term does
        not apply.
        """
        return frozenset()

    def __call__(self, batch: Batch) -> Tensor:
        """Return the term for a batch, a scalar, before it is weighted."""
        raise NotImplementedError

    def factor(self, batch: Batch) -> float:
        """Return the factor of the term in the total."""
        return self.weight

    def share_of_classification(self, batch: Batch) -> float:
        """Return the part of the classification loss that the term stands in for."""
        return 0.0

    def begin(self, neighbourhood: Neighbourhood | None) -> RunningTerm:
        """Return the term for the training of one task; one with a state makes it."""
        return self

    def after_step(self, batch: Batch) -> None:
        """Follow what a step saw; without a state there is nothing to do."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return nothing: most terms have no state."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of :meth:`state_dict`."""

    def check(self, settings: Any) -> None:
        """Check the term against the other settings of a run.

        Args:
            settings: the whole :class:`~daformer_kedro.config.run.Config`.

        Raises:
            ValueError: they do not go together; names both settings.
        """
