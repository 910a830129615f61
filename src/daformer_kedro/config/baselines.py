"""Baselines: the same code with parts of the method switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
