"""The form of a method of class-incremental learning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from daformer_kedro.objectives import Need, terms_that_need
from daformer_kedro.validation import NoSettings, validated

if TYPE_CHECKING:
    from daformer_kedro.model import DAFormer


class Method:
    """A way to learn classes task by task; a subclass is one file.

    Attributes:
        label: name in tables and figures; ``{edition}`` stands for S or M.
        has_editions: whether editions S and M differ under the method.
        Settings: validated dataclass of the parameters ``baseline_settings``.

    Args:
        settings: the parameters ``baseline_settings``.

    Raises:
        InputError: a setting is unknown or impossible.
    """

    label: ClassVar[str]
    has_editions: ClassVar[bool] = True
    Settings: ClassVar[type] = NoSettings

    def __init__(self, settings: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.settings: Any = validated(self.Settings, settings, "baseline_settings")

    def overlay(self) -> Mapping[str, Any]:
        """Return parameters laid over the environment's; ``--params`` still win."""
        return {}

    def finish(self, model: DAFormer, features: Tensor, targets: Tensor) -> None:
        """Change the model once a task is learnt and its exemplars are chosen.

        A step of its own in the pipeline, there only for methods that define it.

        Args:
            model: to be changed in place.
            features: (N, E) embeddings of the exemplars.
            targets: (N,) their classes.
        """
        raise NotImplementedError

    @property
    def finishes(self) -> bool:
        """Return whether the method changes the model at the end of a task."""
        return type(self).finish is not Method.finish


def without(*needs: Need) -> dict[str, dict[str, float]]:
    """Return settings of ``losses`` without the terms that have one of the needs."""
    return {name: {"weight": 0.0} for name in terms_that_need(*needs)}
