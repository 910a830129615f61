"""The training loss: the terms that apply, weighted and summed."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from daformer_kedro.objectives.batch import Batch, Kind
from daformer_kedro.objectives.term import Need, Neighbourhood, Term


class Objective:
    """Sum of the loss terms that the settings ask for and that apply to a phase.

    Args:
        terms: all terms by name, those switched off too.
        available: what the phase can give; see
            :data:`~daformer_kedro.objectives.term.Need`.
        neighbourhood: of the task data, for terms that need it.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        available: frozenset[Need] = frozenset(),
        neighbourhood: Neighbourhood | None = None,
    ) -> None:
        self._settings = {
            name: term
            for name, term in terms.items()
            if term.weight > 0 and term.needs <= available
        }
        classification = terms.get("classification")
        self._kind: Kind = getattr(classification, "kind", "binary")
        self._running = {
            name: term.begin(neighbourhood) for name, term in self._settings.items()
        }

    @property
    def kind(self) -> Kind:
        """Cross-entropy of the classification loss."""
        return self._kind

    def uses(self, need: Need) -> bool:
        """Return whether any term that applies has this need."""
        return any(need in term.needs for term in self._settings.values())

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Return every term as it enters the total; the total is their sum."""
        factors = {name: term.factor(batch) for name, term in self._settings.items()}
        taken = sum(t.share_of_classification(batch) for t in self._settings.values())
        if "classification" in factors:
            factors["classification"] *= 1 - taken
        return {
            name: factors[name] * term(batch) for name, term in self._running.items()
        }

    def after_step(self, batch: Batch) -> None:
        """Let terms with a state follow what a step saw.

        Args:
            batch: of the step, with the student's output before it.
        """
        for term in self._running.values():
            term.after_step(batch)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return the states of the terms that have one, by name."""
        states = {name: term.state_dict() for name, term in self._running.items()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, states: Mapping[str, dict[str, Tensor]]) -> None:
        """Continue from a state of :meth:`state_dict`."""
        for name, state in states.items():
            self._running[name].load_state_dict(state)
