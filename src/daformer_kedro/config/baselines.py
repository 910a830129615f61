"""Baselines: the same code with parts of the method switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daformer_kedro.errors import InputError

BASELINES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "finetune": {
        "memory": {"keep": "nothing"},
        "losses": {
            "logit_distillation": {"enabled": False},
            "knn_distillation": {"weight": 0.0},
            "pooled_distillation": {"weight": 0.0},
            "divergence": {"weight": 0.0},
        },
        "finetuning": {"epochs": 0},
    },
    "replay": {
        "losses": {
            "logit_distillation": {"enabled": False},
            "knn_distillation": {"weight": 0.0},
            "pooled_distillation": {"weight": 0.0},
        },
    },
    "joint": {
        "memory": {"keep": "everything"},
        "losses": {
            "logit_distillation": {"enabled": False},
            "knn_distillation": {"weight": 0.0},
            "pooled_distillation": {"weight": 0.0},
            "divergence": {"weight": 0.0},
        },
        "training": {"freeze_old_tasks": False},
        "finetuning": {"epochs": 0},
    },
    "dytox": {
        "model": {"decoder": "task_attention"},
        "losses": {"knn_distillation": {"weight": 0.0}},
    },
}
"""What each baseline changes in the parameters; explicit ``--params`` still win."""


def apply_baseline(
    parameters: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Lay the chosen baseline over the parameters, and ``overrides`` over both.

    Args:
        parameters: merged parameters of the environment, overrides included.
        overrides: what the user gave for this run (``--params``).

    Raises:
        InputError: the baseline is unknown.
    """
    name = parameters.get("baseline", "none")
    if name not in BASELINES:
        allowed = ", ".join(BASELINES)
        raise InputError(f"baseline = {name!r} is unknown; allowed: {allowed}")
    return merge(merge(parameters, BASELINES[name]), overrides)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings ``base`` with those of ``over`` in their place, key by key."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged
