"""Fractions of 1 as percent, the way papers print them."""

from __future__ import annotations


def percent(value: float | None) -> str:
    """Return a fraction in percent with two decimals, and a dash for ``None``."""
    # "+ 0.0" turns a rounded -0.0 into 0.0.
    return "–" if value is None else f"{round(100 * value, 2) + 0.0:.2f}"
