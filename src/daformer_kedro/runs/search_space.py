"""Settings that a study searches, compared with those that a run has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

from daformer_kedro.config.keys import NO_RESULT
from daformer_kedro.config.sections import SETTINGS, Config
from daformer_kedro.config.study_section import FORMS, Dimension
from daformer_kedro.errors import InputError
from daformer_kedro.methods import METHODS
from daformer_kedro.model.encoders import encoder_class


def search_space(config: Config) -> list[Dimension]:
    """Return the settings to search, by name.

    Ranges are of whole numbers where the setting is one, and of any numbers where it is
    not, however their ends are written. Names that do not exist are left to the
    validation of a run's settings, which knows what was meant.

    Raises:
        InputError: what is searched is no setting of its own, changes no result, or
            cannot have numbers of the range.
    """
    found = []
    for dimension in config.study.dimensions:
        _check_name(dimension, config)
        types = _types(dimension.name.split("."), config)
        if any(map(is_dataclass, types)):
            raise InputError(
                f"study.space: {dimension.name} is a section; name settings of it"
            )
        found.append(_of_type(dimension, types) if types else dimension)
    return found


def _check_name(dimension: Dimension, config: Config) -> None:
    name = dimension.name
    section, _, rest = name.partition(".")
    is_other = section not in SETTINGS and section in {f.name for f in fields(Config)}
    if is_other or (section == "training" and rest in NO_RESULT):
        raise InputError(
            f"study.space: {name} changes no result, so that all trials would be "
            f"alike; allowed are settings of {', '.join(SETTINGS)} that change one"
        )
    parts = name.split(".")
    for end in range(1, len(parts)):
        types = _types(parts[:end], config)
        if types and not any(map(is_dataclass, types)) and dict not in types:
            given = {".".join(parts[end:]): _as_given(dimension)}
            raise InputError(f"study.space: {'.'.join(parts[:end])} = {given}: {FORMS}")


def _of_type(dimension: Dimension, types: Sequence[Any]) -> Dimension:
    """Return a dimension with numbers as a setting of these types has them."""
    if dimension.choices or float in types:
        return replace(dimension, is_whole=False)
    given = _as_given(dimension)
    if int not in types:
        raise InputError(
            f"study.space: {dimension.name} = {given}: the setting is no number; list "
            "its values, such as [A, B]"
        )
    numbers = [dimension.low, dimension.high, dimension.step]
    whole = [None if number is None else int(number) for number in numbers]
    if whole != numbers:
        raise InputError(
            f"study.space: {dimension.name} = {given}: the setting is a whole number, "
            "and so must be the ends and the step"
        )
    low, high, step = whole
    assert low is not None
    assert high is not None
    return replace(dimension, low=low, high=high, step=step, is_whole=True)


def _as_given(dimension: Dimension) -> Any:
    if dimension.choices:
        return list(dimension.choices)
    kind = "log_range" if dimension.is_log else "range"
    step = {} if dimension.step is None else {"step": dimension.step}
    return {kind: [dimension.low, dimension.high], **step}


def _types(parts: Sequence[str], config: Config) -> tuple[Any, ...]:
    """Return the types of a setting without None; empty where it is not known."""
    types: tuple[Any, ...] = (Config,)
    for number, part in enumerate(parts):
        owner: Any = next(filter(is_dataclass, types), None)
        if dict in types:  # of the method or the encoder in use
            owner = {
                "baseline_settings": METHODS[config.baseline].Settings,
                "encoder_settings": encoder_class(config.model.encoder).Settings,
            }.get(parts[number - 1])
        hints = {} if owner is None else get_type_hints(owner)
        if part not in hints:
            return ()
        types = _members(hints[part])
    return types


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type: ``int | None`` has ``int`` alone."""
    origin = getattr(hint, "__origin__", None)
    if origin is not None and not isinstance(origin, type):
        members = get_args(hint)
    elif origin is not None:  # dict[str, Any], tuple[float, ...]
        members = (origin,)
    else:
        members = get_args(hint) or (hint,)  # int | None
    return tuple(member for member in members if member is not NoneType)
