"""DyTox, DyTox+ and DyTox++: the recipes of the published option files.

Douillard et al., "DyTox: Transformers for Continual Learning with DYnamic TOken
eXpansion", CVPR 2022; DyTox++ is in its appendix. Epochs, memory and the rest are the
environment's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from daformer_kedro.methods.method import Method, only


class DyToxPlus(Method):
    """Task attention and mixup."""

    label = "DyTox+ (ours)"
    has_editions = False
    mixup: ClassVar[float] = 0.8
    rho: ClassVar[float] = 0.0

    def overlay(self) -> Mapping[str, Any]:
        """Return the decoder, and the strength of mixup and of SAM."""
        return {
            "model": {"decoder": "task_attention"},
            "losses": only("classification", "logit_distillation", "divergence"),
            "augmentation": {"mixup_alpha": self.mixup, "cutmix_alpha": 0.0},
            "training": {
                "sharpness": {"rho": self.rho, "adaptive": True, "first_task": False}
            },
        }


class DyTox(DyToxPlus):
    """Task attention without mixup."""

    label = "DyTox (ours)"
    mixup = 0.0

    def overlay(self) -> Mapping[str, Any]:
        """Return hard targets too: the released code smooths only where it mixes."""
        overlay = super().overlay()
        hard = {"classification": {"label_smoothing": 0.0}}
        return {**overlay, "losses": {**overlay["losses"], **hard}}


class DyToxPlusPlus(DyToxPlus):
    """Mixup, and adaptive sharpness-aware minimisation from the second task on."""

    label = "DyTox++ (ours)"
    rho = 3.0
