"""Schedules: how long and how hard a task is trained, by one switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "published": {},
    "short": {
        "training": {
            "epochs": 100,
            "initial_epochs": None,
            "batch_size": 128,
            "learning_rate": 2e-3,
            "min_learning_rate": 1e-5,
            "warmup_epochs": 5,
            "warmup_learning_rate": 1e-6,
            "clip_norm": 1.0,
            "sharpness": {"rho": 0.0},
        },
        "augmentation": {"repeats": 1},
        "finetuning": {"epochs": 20, "batch_size": 128, "learning_rate": 5e-4},
    },
}
"""What each schedule changes in the parameters; explicit ``--params`` still win.

``published`` is whatever the environment says. ``short`` is for networks of the
published size; what of it was measured is in ``docs/protocols.md``.
"""
