"""Settings of a study, which searches for better settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from daformer_kedro.validation import STRICT, NonNegativeInt, PositiveInt

Scalar = str | int | float | bool | None
_RANGES = ("range", "log_range")
FORMS = (
    "allowed: a list of values such as [0.2, 0.8], {range: [LOW, HIGH]}, with step: "
    "STEP if wanted, or {log_range: [LOW, HIGH]}"
)
_FIXED = ("protocol", "seed", "source", "scenario")
"""What must stay as it is, or trials would be measured on other images or tasks."""


DEFAULT_SPACE: Mapping[str, Any] = {
    "training.learning_rate": {"log_range": [0.01, 0.1]},
    "finetuning.learning_rate": {"log_range": [0.01, 0.1]},
    "augmentation.mixup_alpha": [0.0, 0.2, 0.8],
    "losses.knn_distillation.weight": [0.0, 0.1, 0.5],
}
"""Space of a study that names none; rates are for narrow networks, as the digits'."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One setting that a study searches, and its values.

    Attributes:
        name: dotted.
        choices: the values, where they are listed; else the other three hold.
        low: least value, included.
        high: greatest value, included.
        step: between two values; ``None`` for any in between.
        is_log: draw the logarithm evenly.
        is_whole: draw whole numbers alone.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    is_log: bool = False
    is_whole: bool = False

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Return values that must all be possible: the listed ones, or both ends."""
        return self.choices or (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Return whether ``value`` is one that can be drawn."""
        if self.choices:
            return value in self.choices
        if not _is_number(value) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        is_on_step = math.isclose(steps, round(steps), abs_tol=1e-9)
        return is_on_step and (isinstance(value, int) or not self.is_whole)


@dataclass(frozen=True, config=STRICT)
class StudyConfig:
    """Search for settings on a validation share; no training reads this.

    Attributes:
        name: of the environment that the best settings are written to.
        trials: runs, those of an earlier call of the same study included.
        space: values by setting, by dotted name or nested; ``null`` for a setting
            leaves it out. Empty is :data:`DEFAULT_SPACE`.
        objective: what is maximised, on validation images.
        with_processor_time: minimise processor time as well; the most accurate of
            those settings that nothing beats in both is written.
        validation_fraction: share of each class's training images to measure on, where
            ``source.validation_fraction`` gives none.
        prune: end a trial after a task with a result below the median of earlier ones.
        seed: of the choice of settings; the runs have the parameters' own.
        jobs: trials side by side.
        engine: ``local``, or ``ray``: each trial is a task of Ray.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")] = "tuned"
    trials: PositiveInt = 20
    space: dict[str, Any] = Field(default_factory=dict)
    objective: Literal["average_incremental_accuracy", "balanced_accuracy"] = (
        "average_incremental_accuracy"
    )
    with_processor_time: bool = False
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    prune: bool = True
    seed: NonNegativeInt = 0
    jobs: PositiveInt = 1
    engine: Literal["local", "ray"] = "local"

    @field_validator("space")
    @classmethod
    def _check(cls, space: dict[str, Any]) -> dict[str, Any]:
        for _ in _dimensions(space, ""):
            pass  # raises
        return space

    @property
    def dimensions(self) -> list[Dimension]:
        """The settings to search, by name; not compared with what there is.

        See :func:`daformer_kedro.runs.search_space.search_space`.
        """
        space = self.space or DEFAULT_SPACE
        found = {dimension.name: dimension for dimension in _dimensions(space, "")}
        return [found[name] for name in sorted(found)]


def _dimensions(space: Mapping[str, Any], prefix: str) -> Iterator[Dimension]:
    for key, given in space.items():
        name = f"{prefix}{key}"
        if given is None:
            continue
        if name.partition(".")[0] in _FIXED:
            raise ValueError(
                f"{name} cannot be searched: trials must have the same images, tasks "
                f"and seed ({', '.join(_FIXED)} stay as they are)"
            )
        if isinstance(given, Mapping) and not {*_RANGES, "step"} & set(given):
            yield from _dimensions(given, f"{name}.")
        elif isinstance(given, Mapping):
            yield _range(name, given)
        else:
            yield _choices(name, given)


def _choices(name: str, given: Any) -> Dimension:
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"{name} = {given!r}: {FORMS}")
    for value in given:
        if isinstance(value, list | tuple | Mapping):
            raise ValueError(
                f"{name} has the choice {value!r}: a run takes numbers, texts, true, "
                "false and null from --params"
            )
        if isinstance(value, str) and "," in value:
            raise ValueError(
                f"{name} has the choice {value!r}: --params splits at commas"
            )
    if len(set(map(repr, given))) < len(given):
        raise ValueError(f"{name} = {list(given)} names a value twice")
    return Dimension(name, choices=tuple(given))


def _range(name: str, given: Mapping[str, Any]) -> Dimension:
    kinds = [kind for kind in _RANGES if kind in given]
    unknown = set(given) - {*_RANGES, "step"}
    if len(kinds) != 1 or unknown:
        raise ValueError(f"{name} = {dict(given)}: {FORMS}")
    ends, step = given[kinds[0]], given.get("step")
    is_log = kinds[0] == "log_range"
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise ValueError(f"{name} = {dict(given)}: {FORMS}")
    numbers = [*ends, *([] if step is None else [step])]
    if not all(_is_number(value) for value in numbers):
        raise ValueError(f"{name} = {dict(given)}: the ends and the step are numbers")
    low, high = ends
    if not low < high or (is_log and low <= 0) or (step is not None and step <= 0):
        raise ValueError(
            f"{name} = {dict(given)}: the first end must be less than the second"
            + (", both above 0" if is_log else ", the step above 0")
        )
    if is_log and step is not None:
        raise ValueError(f"{name} = {dict(given)}: log_range has no step")
    is_whole = all(isinstance(number, int) for number in numbers)
    return Dimension(name, (), low, high, step, is_log, is_whole)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
