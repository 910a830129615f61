"""Settings laid over settings: environments, schedules, baselines, ``--params``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daformer_kedro.config.schedules import SCHEDULES
from daformer_kedro.errors import InputError
from daformer_kedro.methods import METHODS

_ALTERNATIVES = {"memory": (("total", "per_class"), ("per_class", "total"))}
"""Pairs of settings of a section of which only one can hold."""


def apply_overlays(
    parameters: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Lay the chosen schedule and baseline over the parameters, ``overrides`` over all.

    The baseline comes after the schedule: what it switches off stays off.

    Args:
        parameters: merged parameters of the environment, overrides included.
        overrides: what the user gave for this run (``--params``).

    Raises:
        InputError: the schedule or the baseline is unknown.
    """
    training = parameters.get("training")
    chosen = training.get("schedule") if isinstance(training, Mapping) else None
    schedule = _look_up("training.schedule", chosen or "published", SCHEDULES)
    overlays = {name: method().overlay() for name, method in METHODS.items()}
    baseline = _look_up("baseline", parameters.get("baseline", "none"), overlays)
    merged = dict(parameters)
    for layer in (schedule, baseline, overrides):
        merged = lay_over(merged, layer)
    return merged


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`merge`, where a setting of ``above`` ends the one it excludes.

    ``memory.per_class`` in a layer clears the ``memory.total`` of the layers below,
    and the other way about; a layer that gives both is left to be refused. A layer that
    names another method clears the settings of the method below.
    """
    merged = merge(below, above)
    if above.get("baseline", below.get("baseline")) != below.get("baseline"):
        merged["baseline_settings"] = above.get("baseline_settings", {})
    for section, pairs in _ALTERNATIVES.items():
        given = above.get(section)
        if not isinstance(given, Mapping):
            continue
        for name, other in pairs:
            if given.get(name) is not None and other not in given:
                merged[section] = {**merged[section], other: None}
    return merged


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings ``base`` with those of ``over`` in their place, key by key."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def check_forms(
    below: Mapping[str, Any], above: Mapping[str, Any], prefix: str = ""
) -> None:
    """Make sure that no list lies over a mapping, and no mapping over a list.

    Raises:
        InputError: one does; OmegaConf, which merges files, would not name it.
    """
    for key, value in above.items():
        name, old = f"{prefix}{key}", below.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            check_forms(old, value, f"{name}.")
        elif _is_list(value) and isinstance(old, Mapping):
            raise InputError(f"{name} = {value!r} must be a mapping, such as NAME: …")
        elif isinstance(value, Mapping) and _is_list(old):
            raise InputError(f"{name} = {value!r} must be a list")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _look_up(
    key: str, name: Any, overlays: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    if not isinstance(name, str) or name not in overlays:
        allowed = ", ".join(overlays)
        raise InputError(f"{key} = {name!r} is unknown; allowed: {allowed}")
    return overlays[name]
