"""Rehearsal of a memory, with no distillation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daformer_kedro.methods.method import Method, without


class Replay(Method):
    """A memory and balanced finetuning alone."""

    label = "replay ({edition})"

    def overlay(self) -> Mapping[str, Any]:
        """Return what switches off every loss term with a teacher."""
        return {"losses": without("teacher")}
