"""The lower bound: each task trains on its own images alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daformer_kedro.methods.method import Method, without


class Finetune(Method):
    """Finetuning alone: no memory, no distillation, no balanced phase after it."""

    label = "finetune ({edition})"

    def overlay(self) -> Mapping[str, Any]:
        """Return what switches all of these off."""
        return {
            "memory": {"keep": "nothing"},
            "losses": without("teacher", "divergence_head"),
            "finetuning": {"epochs": 0},
        }
