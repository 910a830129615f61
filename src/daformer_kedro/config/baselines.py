"""Baselines: the same code with parts of the method switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DYTOX: Mapping[str, Any] = {
    "model": {"decoder": "task_attention"},
    "losses": {"knn_distillation": {"weight": 0.0}},
    "augmentation": {"mixup_alpha": 0.8, "cutmix_alpha": 0.0},
    "training": {"sharpness": {"rho": 0.0}},
}
"""DyTox+: task attention, mixup, no sharpness-aware minimisation."""

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
    # The released DyTox trains on hard targets where it does not mix.
    "dytox": {
        **_DYTOX,
        "losses": {**_DYTOX["losses"], "classification": {"label_smoothing": 0.0}},
        "augmentation": {"mixup_alpha": 0.0, "cutmix_alpha": 0.0},
    },
    "dytox_plus": _DYTOX,
    "dytox_plusplus": {
        **_DYTOX,
        "training": {"sharpness": {"rho": 3.0, "adaptive": True, "first_task": False}},
    },
}
"""What each baseline changes in the parameters; explicit ``--params`` still win.

The three of DyTox are the recipes of its published option files (Douillard et al.,
CVPR 2022, and its appendix for DyTox++); epochs, memory and the rest are the
environment's.
"""
