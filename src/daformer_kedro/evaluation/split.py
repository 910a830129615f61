"""The images that stood for the test images when a run was evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_on_validation(settings: Mapping[str, Any]) -> bool:
    """Return whether a run was evaluated on validation images.

    Args:
        settings: the run's, nested, as they were stored; older ones know of test
            images alone.
    """
    source = settings.get("source", {})
    chosen = source.get("evaluate_on")
    if chosen is None:
        return source.get("validation_fraction") is not None
    return bool(chosen == "validation")
