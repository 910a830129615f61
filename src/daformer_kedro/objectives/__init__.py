"""The terms of the training loss; :data:`TERMS` lists them.

A new term is a file in this folder, with a subclass of
:class:`~daformer_kedro.objectives.term.Term`, a line in :data:`TERMS`, and a block of
that name under ``losses`` in the parameters. The imports are explicit because the
fingerprints of stored results follow them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from daformer_kedro.objectives.batch import Batch
from daformer_kedro.objectives.classification import Classification
from daformer_kedro.objectives.divergence import Divergence
from daformer_kedro.objectives.knn_distillation import KNNDistillation
from daformer_kedro.objectives.logit_distillation import LogitDistillation
from daformer_kedro.objectives.objective import Objective
from daformer_kedro.objectives.pooled_distillation import PooledDistillation
from daformer_kedro.objectives.term import Need, Neighbourhood, Term
from daformer_kedro.validation import STRICT

TERMS: Mapping[str, type[Term]] = {
    "classification": Classification,
    "logit_distillation": LogitDistillation,
    "pooled_distillation": PooledDistillation,
    "knn_distillation": KNNDistillation,
    "divergence": Divergence,
}
"""Every term by its name in the parameters, in the order in which they are summed."""

if TYPE_CHECKING:

    class LossesConfig:
        """Section ``losses``: the settings of every term of :data:`TERMS`."""

        def __init__(self, **terms: Term) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

else:
    LossesConfig = dataclass(frozen=True, config=STRICT)(
        type(
            "LossesConfig",
            (),
            {
                "__doc__": "Section ``losses``: the settings of every term.",
                "__module__": __name__,
                "__annotations__": dict(TERMS),
                **{name: Field(default_factory=TERMS[name]) for name in TERMS},
            },
        )
    )


def terms_of(losses: LossesConfig) -> dict[str, Term]:
    """Return every term with its settings, by name."""
    return {name: getattr(losses, name) for name in TERMS}


def terms_off_by_default() -> frozenset[str]:
    """Return the names of all terms that are off where nothing is said of them."""
    return frozenset(name for name, term in TERMS.items() if term().weight == 0)


def terms_that_need(*needs: Need) -> list[str]:
    """Return the names of all terms that, by default, have one of the needs."""
    return [name for name, term in TERMS.items() if term().needs & {*needs}]


def terms_in_need(need: Need, losses: LossesConfig) -> list[str]:
    """Return the names of the terms that are switched on and have this need."""
    terms = terms_of(losses).items()
    return [name for name, term in terms if term.weight > 0 and need in term.needs]


def is_needed(need: Need, losses: LossesConfig) -> bool:
    """Return whether a term that is switched on has this need."""
    return bool(terms_in_need(need, losses))


__all__ = [
    "TERMS",
    "Batch",
    "LossesConfig",
    "Need",
    "Neighbourhood",
    "Objective",
    "Term",
    "is_needed",
    "terms_in_need",
    "terms_off_by_default",
    "terms_of",
    "terms_that_need",
]
