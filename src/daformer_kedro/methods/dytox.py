"""DyTox, DyTox+ and DyTox++: the recipes of the published option files.

Douillard et al., "DyTox: Transformers for Continual Learning with DYnamic TOken
eXpansion", CVPR 2022; DyTox++ is in its appendix. Epochs, memory and the rest are the
environment's.
"""

from __future__ import annotations

from typing import Any

from daformer_kedro.methods.method import Method


def _overlay(*, mixup: float, smoothing: float | None, rho: float) -> dict[str, Any]:
    classification = {} if smoothing is None else {"label_smoothing": smoothing}
    return {
        "model": {"decoder": "task_attention"},
        "losses": {
            "knn_distillation": {"weight": 0.0},
            "classification": classification,
        },
        "augmentation": {"mixup_alpha": mixup, "cutmix_alpha": 0.0},
        "training": {"sharpness": {"rho": rho, "adaptive": True, "first_task": False}},
    }


DYTOX = Method(
    label="DyTox (ours)",
    # The released code trains on hard targets where it does not mix.
    overlay=_overlay(mixup=0.0, smoothing=0.0, rho=0.0),
    has_editions=False,
)
DYTOX_PLUS = Method(
    label="DyTox+ (ours)",
    overlay=_overlay(mixup=0.8, smoothing=None, rho=0.0),
    has_editions=False,
)
DYTOX_PLUSPLUS = Method(
    label="DyTox++ (ours)",
    overlay=_overlay(mixup=0.8, smoothing=None, rho=3.0),
    has_editions=False,
)
