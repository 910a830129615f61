"""Tests of every day against the reference, corrected for the number of days."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daformer_kedro.config.monitor_section import TESTS, MonitorConfig
from daformer_kedro.evaluation.monitoring.class_mix import mix_p_value
from daformer_kedro.evaluation.monitoring.embedding_test import embedding_p_value
from daformer_kedro.evaluation.monitoring.excess import excess_p_value
from daformer_kedro.evaluation.monitoring.observations import Baseline, Observations

_LEAST_DRAWS, _MOST_DRAWS = 999, 99_999
_LOGGER = logging.getLogger(__name__)


def run_tests(
    days: Sequence[Observations],
    baseline: Baseline,
    config: MonitorConfig,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Test each day, and correct for the number of tests and of days.

    Args:
        days: images of each day.
        baseline: to compare with.
        config: when a day differs.
        generator: draws permutations.

    Returns:
        One row per day: a p-value ``p_<test>`` and an adjusted one ``adjusted_<test>``
        of each of :data:`~daformer_kedro.config.monitor_section.TESTS`, empty where it
        was not made; ``tested``; ``differs``.
    """
    chosen = [
        (row, test)
        for row, day in enumerate(days)
        for test in config.tests
        if len(day) >= config.least_images and _can_be_made(test, day, baseline)
    ]
    of_days = Counter(row for row, _ in chosen)
    most = max(of_days.values(), default=0)
    draws = _num_draws(len(of_days) * most, config.level)
    values = np.full((len(days), len(TESTS)), np.nan)
    for row, test in chosen:
        p_value = _p_value(test, days[row], baseline, draws, generator)
        values[row, TESTS.index(test)] = p_value
    adjusted = adjust(values)
    columns: dict[str, Any] = {}
    for column, name in enumerate(TESTS):
        columns[f"p_{name}"] = values[:, column]
        columns[f"adjusted_{name}"] = adjusted[:, column]
    columns["tested"] = ~np.isnan(values).all(axis=1)
    columns["differs"] = (adjusted <= config.level).any(axis=1)
    return pd.DataFrame(columns)


def adjust(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values of days (rows) and their tests for the number of both.

    A day's p-value is that of Simes over its tests, and days are chosen by Benjamini
    and Hochberg: so it is among days that the false discovery rate is kept. Both allow
    p-values that depend on each other positively, as those of days with one reference
    and of tests of the same images do. Within days that are chosen, tests are judged at
    the level times the chosen share of days (Benjamini and Bogomolov, JRSS B 2014).

    Args:
        p_values: (days, tests), NaN where a test was not made.

    Returns:
        The least level at which that test says that the day differs; likewise NaN.
    """
    from scipy.stats import false_discovery_control  # a second to import

    within = np.full(p_values.shape, np.nan)
    for row, values in enumerate(p_values):
        made = ~np.isnan(values)
        if made.any():
            within[row, made] = false_discovery_control(values[made])
    is_tested = ~np.isnan(within).all(axis=1)
    if not is_tested.any():
        return within
    of_days = np.sort(np.nanmin(within[is_tested], axis=1))
    # Where k days are chosen, theirs and the test's are at most level * k / days.
    needed = np.maximum(of_days, within[..., np.newaxis])
    ranks = np.arange(1, len(of_days) + 1)
    adjusted: NDArray[np.float64] = np.min(needed * len(of_days) / ranks, axis=-1)
    return np.minimum(adjusted, 1.0)


def reasons(row: Mapping[Any, Any], level: float) -> list[str]:
    """Return the tests by which a day (a row of :func:`run_tests`) differs."""
    return [test for test in TESTS if row[f"adjusted_{test}"] <= level]


def _can_be_made(test: str, day: Observations, baseline: Baseline) -> bool:
    reference = baseline.reference
    if test == "embeddings":
        return day.embeddings is not None and reference.embeddings is not None
    if test == "accuracy":
        return bool(len(day.labelled()) and len(reference.labelled()))
    return True


def _p_value(
    test: str,
    day: Observations,
    baseline: Baseline,
    draws: int,
    generator: np.random.Generator,
) -> float:
    reference, num = baseline.reference, baseline.num_classes
    if test == "embeddings":
        return embedding_p_value(day, reference, draws, generator)
    if test == "class_mix":
        return mix_p_value(
            day.class_counts(num), reference.class_counts(num), draws, generator
        )
    if test == "unknown":
        return excess_p_value(
            day.predicted,
            baseline.is_unknown(day),
            reference.predicted,
            baseline.is_unknown(reference),
        )
    known, tested = day.labelled(), reference.labelled()
    return excess_p_value(
        known.target, ~known.is_right, tested.target, ~tested.is_right
    )


def _num_draws(num_tests: int, level: float) -> int:
    """Return how many permutations let one test of one day reach the level."""
    needed = math.ceil(2 * num_tests / level)
    if needed > 2 * _MOST_DRAWS:
        _LOGGER.warning(
            "%d tests are so many that a test by permutation cannot find a single day "
            "that differs; test fewer days at a time (monitor.since), or weeks "
            "(monitor.period)",
            num_tests,
        )
    return min(_MOST_DRAWS, max(_LEAST_DRAWS, needed))
