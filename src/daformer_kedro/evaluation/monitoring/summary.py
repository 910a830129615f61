"""Days of a stream in one sentence, and as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from daformer_kedro.config import MonitorConfig
from daformer_kedro.evaluation.monitoring.day_tests import reasons

_MOST_NAMED = 5


def summarise_days(
    table: pd.DataFrame,
    config: MonitorConfig,
    about: Mapping[str, Any],
    not_learnt: Mapping[str, int],
) -> dict[str, Any]:
    """Summarise a stream.

    Args:
        table: of :func:`~daformer_kedro.evaluation.monitoring.days.measure_days`.
        config: level, period, least number of images.
        about: what else is to be kept, such as the model's name.
        not_learnt: numbers of images with labels of classes that were not learnt.

    Returns:
        Plain values: ``differs``, ``next_task_is_due``, ``sentence``, numbers, and the
        rows of the table in ``days``, with ``why``.
    """
    days = [_plain(row) for row in table.to_dict("records")]
    for day, row in zip(days, table.to_dict("records"), strict=True):
        day["why"] = reasons(row, config.level)
    arrived = {k: n for k, n in not_learnt.items() if n >= config.least_images}
    is_due = bool(arrived) or any("unknown" in day["why"] for day in days)
    differing = [day for day in days if day["differs"]]
    return {
        "sentence": _sentence(days, differing, arrived, config),
        "differs": bool(differing or arrived),
        "next_task_is_due": is_due,
        "level": config.level,
        "period": config.period,
        "num_days": len(days),
        "num_days_tested": sum(day["tested"] for day in days),
        "num_days_that_differ": len(differing),
        "num_images": int(table["num_images"].sum()),
        "labels_not_learnt": dict(not_learnt),
        **about,
        "days": days,
    }


def _sentence(
    days: list[dict[str, Any]],
    differing: list[dict[str, Any]],
    arrived: Mapping[str, int],
    config: MonitorConfig,
) -> str:
    tested = sum(day["tested"] for day in days)
    parts = [_count(differing, tested, config)]
    few = len(days) - tested
    if few:
        verb = "has" if few == 1 else "have"
        parts.append(
            f"{_days(few, config)} with fewer than {config.least_images} images "
            f"{'was' if few == 1 else 'were'} not tested"
            if tested
            else f"{_days(few, config)} {verb} fewer than {config.least_images} images"
        )
    if arrived:
        named = ", ".join(f"{k} ({n} images)" for k, n in arrived.items())
        parts.append(f"labels of classes never learnt: {named}")
    return "; ".join(parts) + _advice(differing, arrived)


def _count(differing: list[dict[str, Any]], tested: int, config: MonitorConfig) -> str:
    if not tested:
        return f"No {config.period} could be tested"
    if not differing:
        return f"None of {_days(tested, config)} differs from the reference"
    shown = [f"{day['day']} ({_why(day)})" for day in differing[:_MOST_NAMED]]
    more = len(differing) - len(shown)
    rest = f" and {more} more" if more else ""
    verb = "differs" if len(differing) == 1 else "differ"
    number = f"{len(differing)} of {_days(tested, config)} {verb}"
    return f"{number}: {', '.join(shown)}{rest}"


def _advice(differing: list[dict[str, Any]], arrived: Mapping[str, int]) -> str:
    if arrived or any("unknown" in day["why"] for day in differing):
        return ". New classes have probably arrived: the next task is due"
    if differing:
        return ". The images have changed: look at them before relying on the answers"
    return ""


def _why(day: Mapping[str, Any]) -> str:
    words = {
        "unknown": f"{_percent(day['share_unknown'])} unknown, "
        f"expected {_percent(day['expected_unknown'])}",
        "embeddings": "other embeddings",
        "class_mix": "other class mix",
        "accuracy": f"accuracy {_percent(day['accuracy'])}, "
        f"expected {_percent(day['expected_accuracy'])}",
    }
    return "; ".join(words[test] for test in day["why"])


def _days(number: int, config: MonitorConfig) -> str:
    return f"{number} {config.period}{'' if number == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return values that JSON has; it has no NaN."""
    plain = {
        name: value.item() if hasattr(value, "item") else value
        for name, value in row.items()
    }
    return {
        name: None if isinstance(v, float) and math.isnan(v) else v
        for name, v in plain.items()
    }
