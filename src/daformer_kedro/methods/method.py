"""The form of a method of class-incremental learning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from daformer_kedro.objectives import TERMS, Need, terms_that_need
from daformer_kedro.validation import NoSettings, validated

if TYPE_CHECKING:
    import pandas as pd

    from daformer_kedro.learning.candidates import Candidates
    from daformer_kedro.learning.task import LearningTask
    from daformer_kedro.model import DAFormer

Step = Literal["learn", "choose", "finish"]


class Method:
    """A way to learn classes task by task; a subclass is one file.

    It may bring its own way to :meth:`learn` a task, to :meth:`choose` the memory and
    to :meth:`finish` the task. Where it does, that takes the place of what DAFormer
    does, and stored results depend on its code; where it does not, the step is
    DAFormer's, whatever the method.

    Attributes:
        label: name in tables and figures; ``{edition}`` stands for S or M.
        has_editions: whether editions S and M differ under the method.
        Settings: validated dataclass of the parameters ``baseline_settings``.
        trains: whether tasks are learnt in epochs, which leave a history.
        carries: whether :meth:`learn` returns tensors for the next task.
        is_upper_bound: whether nothing is forgotten, so that no other run is above it.
        supports_ranks: whether a :meth:`learn` of its own may be asked to use more than
            one device, since it trains by ``task.train()`` alone.
        classifier_types: of what the method may set as ``model.closed_form``, so that a
            checkpoint can be built again. Their constructors take the tensors that they
            keep as buffers, by the same names.

    Args:
        settings: the parameters ``baseline_settings``.

    Raises:
        InputError: a setting is unknown or impossible.
    """

    label: ClassVar[str]
    has_editions: ClassVar[bool] = True
    Settings: ClassVar[type] = NoSettings
    trains: ClassVar[bool] = True
    carries: ClassVar[bool] = False
    is_upper_bound: ClassVar[bool] = False
    supports_ranks: ClassVar[bool] = False
    classifier_types: ClassVar[tuple[type[nn.Module], ...]] = ()

    def __init__(self, settings: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.settings: Any = validated(self.Settings, settings, "baseline_settings")

    def overlay(self) -> Mapping[str, Any]:
        """Return parameters laid over the environment's; ``--params`` still win."""
        return {}

    def learn(self, task: LearningTask) -> Mapping[str, Tensor] | None:
        """Learn the newest task of ``task.model`` in place.

        Args:
            task: the model, its teacher, the images, and ways to go through them.

        Returns:
            Tensors for the next task, of a method that ``carries`` any.
        """
        raise NotImplementedError

    def choose(self, candidates: Candidates) -> pd.DataFrame:
        """Choose the memory's exemplars after a task.

        Args:
            candidates: the new classes' samples and the memory so far.

        Returns:
            Rows of ``sample_index``, ``target`` and ``rank`` (0 is the best of its
            class), no more than the memory's budget.
        """
        raise NotImplementedError

    def finish(self, model: DAFormer, features: Tensor, targets: Tensor) -> None:
        """Change the model once a task is learnt and its exemplars are chosen.

        Such as the way it classifies, by setting ``model.closed_form``.

        Args:
            model: to be changed in place.
            features: (N, E) embeddings of the exemplars.
            targets: (N,) their classes.
        """
        raise NotImplementedError

    @classmethod
    def brings(cls, step: Step) -> bool:
        """Return whether the method has its own way of a step."""
        return getattr(cls, step) is not getattr(Method, step)


def only(*terms: str) -> dict[str, dict[str, float]]:
    """Return settings of ``losses`` without any term but those."""
    return {name: {"weight": 0.0} for name in TERMS if name not in terms}


def without(*needs: Need) -> dict[str, dict[str, float]]:
    """Return settings of ``losses`` without the terms that have one of the needs."""
    return {name: {"weight": 0.0} for name in terms_that_need(*needs)}
