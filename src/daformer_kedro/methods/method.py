"""What a method of class-incremental learning is, beside its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from daformer_kedro.objectives import Need, terms_that_need

if TYPE_CHECKING:
    from daformer_kedro.model import DAFormer

Finish = Callable[["DAFormer", Tensor, Tensor], None]


@dataclass(frozen=True)
class Method:
    """A way to learn classes task by task.

    Attributes:
        label: name in tables and figures; ``{edition}`` stands for S or M.
        overlay: parameters laid over those of the environment; ``--params`` still win.
        has_editions: whether editions S and M differ under the method.
        finish: changes the model once a task is learnt and its exemplars are chosen,
            in place. It gets the model, the exemplars' embeddings (N, E) and their
            targets (N,). A step of its own in the pipeline; ``None`` for none.
    """

    label: str
    overlay: Mapping[str, Any] = field(default_factory=dict)
    has_editions: bool = True
    finish: Finish | None = None


def without(*needs: Need) -> dict[str, dict[str, float]]:
    """Return settings of ``losses`` without the terms that have one of the needs."""
    return {name: {"weight": 0.0} for name in terms_that_need(*needs)}
