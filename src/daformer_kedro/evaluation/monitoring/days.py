"""Days of a stream, measured and tested against a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daformer_kedro.config import MonitorConfig
from daformer_kedro.evaluation.monitoring.class_mix import mix_distance
from daformer_kedro.evaluation.monitoring.day_tests import run_tests
from daformer_kedro.evaluation.monitoring.excess import expected_share
from daformer_kedro.evaluation.monitoring.observations import Baseline, Observations


def measure_days(
    days: Mapping[str, Observations],
    baseline: Baseline,
    config: MonitorConfig,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Measure each day, and test it.

    Args:
        days: images of each day, by its name.
        baseline: to compare with.
        config: when a day differs.
        generator: draws permutations.

    Returns:
        One row per day. ``day``, ``num_images``, ``share_unknown``,
        ``expected_unknown``, ``confidence_mean``, ``confidence_q10``, ``_q50`` and
        ``_q90``, ``training_mix_distance``, ``reference_mix_distance``,
        ``num_labelled``, ``accuracy``, ``expected_accuracy``, then the columns of
        :func:`~daformer_kedro.evaluation.monitoring.day_tests.run_tests`. Shares are
        fractions of 1; empty is what is not known.
    """
    measured = pd.DataFrame([_measure(n, day, baseline) for n, day in days.items()])
    tested = run_tests(list(days.values()), baseline, config, generator)
    return pd.concat([measured, tested], axis=1)


def classes_by_day(
    days: Mapping[str, Observations], baseline: Baseline, class_names: Sequence[str]
) -> pd.DataFrame:
    """Tabulate the mix of predicted classes and the accuracy on each class by day.

    Returns:
        One row per day and class: ``day``, ``class``, ``num_predicted``,
        ``share_predicted``, ``reference_share``, ``training_share``, ``num_labelled``,
        ``accuracy`` (of images with this label), ``reference_accuracy``. Empty where
        not known.
    """
    num = baseline.num_classes
    reference = baseline.reference
    expected = reference.class_counts(num) / len(reference)
    training = np.full(num, np.nan)
    if baseline.training_counts is not None:
        training = baseline.training_counts / baseline.training_counts.sum()
    _, known_accuracy = _class_accuracies(reference, num)
    tables = []
    for name, day in days.items():
        counts = day.class_counts(num)
        labelled, accuracies = _class_accuracies(day, num)
        columns = {
            "day": name,
            "class": list(class_names),
            "num_predicted": counts,
            "share_predicted": counts / len(day),
            "reference_share": expected,
            "training_share": training,
            "num_labelled": labelled,
            "accuracy": accuracies,
            "reference_accuracy": known_accuracy,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _measure(name: str, day: Observations, baseline: Baseline) -> dict[str, Any]:
    reference, counts = baseline.reference, day.class_counts(baseline.num_classes)
    low, middle, high = np.quantile(day.confidences, [0.1, 0.5, 0.9])
    training = baseline.training_counts
    known = reference.class_counts(baseline.num_classes)
    return {
        "day": name,
        "num_images": len(day),
        "share_unknown": float(baseline.is_unknown(day).mean()),
        "expected_unknown": expected_share(
            day.predicted, reference.predicted, baseline.is_unknown(reference)
        ),
        "confidence_mean": float(day.confidences.mean()),
        "confidence_q10": float(low),
        "confidence_q50": float(middle),
        "confidence_q90": float(high),
        "training_mix_distance": math.nan
        if training is None
        else float(mix_distance(counts, training)),
        "reference_mix_distance": float(mix_distance(counts, known)),
        **_accuracy(day.labelled(), reference.labelled()),
    }


def _accuracy(day: Observations, reference: Observations) -> dict[str, Any]:
    accuracy = expected = math.nan
    if len(day):
        accuracy = float(day.is_right.mean())
        if len(reference):
            expected = expected_share(day.target, reference.target, reference.is_right)
    return {
        "num_labelled": len(day),
        "accuracy": accuracy,
        "expected_accuracy": expected,
    }


def _class_accuracies(
    observed: Observations, num_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return numbers of labelled images (C,) and accuracies (C,), NaN for none."""
    known = observed.labelled()
    if not len(known):
        return np.zeros(num_classes, np.int64), np.full(num_classes, np.nan)
    counts = np.bincount(known.target, minlength=num_classes)
    right = np.bincount(known.target[known.is_right], minlength=num_classes)
    return counts, np.where(counts > 0, right / np.maximum(counts, 1), np.nan)
