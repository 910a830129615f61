"""Metrics as MLflow shows them: by name, and by task or epoch as the step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from daformer_kedro.config.monitor_section import TESTS
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.pipelines.naming import task_name

Steps = Iterable[tuple[int, Mapping[str, float | None]]]
"""Metrics by name, at each step; ``None`` is left out."""


def epoch_steps(record: EpochRecord) -> Steps:
    """Return the metrics of an epoch, with its phase before their names."""
    values = {
        "learning_rate": record.learning_rate,
        "train_accuracy": record.train_accuracy,
        "validation_accuracy": record.validation_accuracy,
        "images_per_second": record.images_per_second,
        **{f"loss_{name}": value for name, value in record.losses.items()},
    }
    named = {f"{record.phase}/{name}": value for name, value in values.items()}
    return [(record.epoch, named)]


def task_steps(metrics: Mapping[str, Any]) -> Steps:
    """Return the metrics of a task, with the accuracy on each task so far."""
    values = dict(metrics)
    step, accuracies = values.pop("task"), values.pop("task_accuracies")
    del values["class_accuracies"]  # of the run, after its last task
    for task, accuracy in enumerate(accuracies):
        values[f"accuracy_on_{task_name(task)}"] = accuracy
    return [(step, values)]


def run_steps(metrics: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Iterate over the numbers of a run and its series over the tasks."""
    for name, value in metrics.items():
        for task, entry in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(entry, list):  # the accuracy matrix is a file
                yield task, {name: entry}


def confidence_steps(confidence: Mapping[str, Any]) -> Steps:
    """Return the calibration error and the detection of unknown images."""
    errors = confidence["calibration"]["expected_calibration_error"]["test"]
    unknown = confidence["unknown"]
    summary = {
        "calibration_error_before": errors["before"],
        "calibration_error": errors["after"],
        "unknown_auroc": unknown["average_auroc"],
    }
    series = [
        (found["task"], {"unknown_auroc_after_task": found["auroc"]})
        for found in unknown["after_task"]
    ]
    return [(0, summary), *series]


def monitor_steps(summary: Mapping[str, Any]) -> Steps:
    """Return what was measured by day, with the days since the first as steps."""
    first = date.fromisoformat(summary["days"][0]["day"])
    total = {
        "num_days_that_differ": summary["num_days_that_differ"],
        "num_days_tested": summary["num_days_tested"],
    }
    by_day = [
        (
            (date.fromisoformat(day["day"]) - first).days,
            {name: day[name] for name in _OF_A_DAY},
        )
        for day in summary["days"]
    ]
    return [(0, total), *by_day]


_OF_A_DAY = (
    "num_images",
    "share_unknown",
    "expected_unknown",
    "confidence_mean",
    "training_mix_distance",
    "reference_mix_distance",
    "accuracy",
    "expected_accuracy",
    *(f"adjusted_{test}" for test in TESTS),
)
