"""A stream of images with the day on which each arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from daformer_kedro.config import MonitorConfig
from daformer_kedro.errors import InputError

DAY, LABEL = "day", "label"
"""Columns that a stream has besides those of a table of answers."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Answers for images, by day.

    Attributes:
        table: one row per image: ``day``, ``image``, ``class_1``, ``probability_1``,
            ``unknown_score``; ``label`` and ``embedding`` where they are known.
        left_out: numbers of images that are not in it, by the reason.
    """

    table: pd.DataFrame
    left_out: Counter[str]


def wanted(days: Sequence[date | None], config: MonitorConfig) -> list[bool]:
    """Return which days lie from ``since`` to ``until``; not those that are None."""
    since, until = config.since or date.min, config.until or date.max
    return [day is not None and since <= day <= until for day in days]


def period_of(day: date, config: MonitorConfig) -> str:
    """Return the name of the day, or of the first day of its week or month."""
    if config.period == "week":
        day -= timedelta(days=day.weekday())
    elif config.period == "month":
        day = day.replace(day=1)
    return day.isoformat()


def refuse_empty(
    given: str, num_found: int, left_out: Counter[str], config: MonitorConfig
) -> None:
    """Refuse a stream without an image.

    Raises:
        InputError: says what was left out, and why.
    """
    if num_found:
        return
    why = [f"{number} {reason}" for reason, number in left_out.items()]
    if config.since or config.until:
        why.append(
            f"monitor.since = {config.since or 'null'}, "
            f"monitor.until = {config.until or 'null'}"
        )
    raise InputError(
        f"{given}: has no image to report" + (f": {'; '.join(why)}" if why else "")
    )
