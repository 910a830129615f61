"""The upper bound: each task trains on all images of all classes seen so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daformer_kedro.methods.method import Method, without


class Joint(Method):
    """A memory without a budget, and nothing against forgetting."""

    label = "joint ({edition})"
    is_upper_bound = True

    def overlay(self) -> Mapping[str, Any]:
        """Return what keeps everything and freezes nothing."""
        return {
            "memory": {"keep": "everything"},
            "losses": without("teacher", "divergence_head"),
            "training": {"freeze_old_tasks": False},
            "finetuning": {"epochs": 0},
        }
