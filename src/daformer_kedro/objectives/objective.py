"""The training loss: the terms that apply, weighted and summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from daformer_kedro.objectives.batch import Batch, Kind
from daformer_kedro.objectives.term import Need, Neighbourhood, Term


class Terms(dict[str, Tensor]):
    """Terms of the loss by name, weighted.

    Attributes:
        total: their sum, to be minimised.
    """

    def __init__(self, terms: Iterable[tuple[str, Tensor]], total: Tensor) -> None:
        super().__init__(terms)
        self.total = total


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
        self._factors: tuple[float, ...] = ()
        self._tensor: Tensor | None = None
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

    def __call__(self, batch: Batch) -> Terms:
        """Return every term as it enters the total, and the total."""
        factors = {name: term.factor(batch) for name, term in self._settings.items()}
        taken = sum(t.share_of_classification(batch) for t in self._settings.values())
        if "classification" in factors:
            factors["classification"] *= 1 - taken
        terms = torch.stack([term(batch) for term in self._running.values()])
        weighted = terms * self._on_device(tuple(factors.values()), terms)
        names = zip(self._running, weighted.unbind(), strict=True)
        return Terms(names, total=weighted.sum())

    def _on_device(self, factors: tuple[float, ...], terms: Tensor) -> Tensor:
        """Return the factors on the device of the terms, copied there once."""
        if factors != self._factors or self._tensor is None:
            self._factors = factors
            self._tensor = torch.stack([terms.new_full((), f) for f in factors])
        return self._tensor

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
