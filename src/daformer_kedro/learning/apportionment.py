"""Whole numbers in proportion to shares, whose sum is kept exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

_HALVINGS = 200
_DIGITS = 9  # of a quota; what lies beyond is rounding


def apportion(
    total: int,
    shares: Sequence[float],
    limits: Sequence[int] | None = None,
    *,
    least: int = 0,
) -> list[int]:
    """Divide ``total`` in proportion to shares, by the largest remainder.

    Hamilton's method: everyone gets the whole part of the exact quota, and what is
    left goes, one each, to the largest remainders; of equal ones the first counts.
    Quotas below ``least`` are raised to it and those above their limit cut, and the
    others divide what remains.

    Args:
        total: what there is to divide.
        shares: of each; positive.
        limits: most that each can have; ``None`` for no limit.
        least: least that each gets, where total and limits allow it.

    Returns:
        One number each, ``total`` in all, or the sum of the limits if that is less.
    """
    caps = [total] * len(shares) if limits is None else list(limits)
    total = min(total, sum(caps))
    floors = [min(least, cap) for cap in caps]
    if sum(floors) > total:
        floors = [0] * len(caps)
    quotas = _quotas(total, shares, floors, caps)
    given = [math.floor(quota) for quota in quotas]
    remainders = sorted(range(len(given)), key=lambda i: (given[i] - quotas[i], i))
    for i in remainders[: total - sum(given)]:
        given[i] += 1
    return given


def _quotas(
    total: int, shares: Sequence[float], floors: Sequence[int], caps: Sequence[int]
) -> list[float]:
    """Return multiples of the shares within their bounds, ``total`` in all."""

    def bounded(factor: float) -> list[float]:
        bounds = zip(shares, floors, caps, strict=True)
        return [min(max(factor * s, low), high) for s, low, high in bounds]

    low, high = 0.0, max((c / s for s, c in zip(shares, caps, strict=True)), default=0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if sum(bounded(middle)) < total:
            low = middle
        else:
            high = middle
    return [round(quota, _DIGITS) for quota in bounded(high)]
