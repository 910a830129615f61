"""Nodes of the monitor pipeline."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from daformer_kedro.config import MonitorConfig
from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.monitoring.days import classes_by_day, measure_days
from daformer_kedro.evaluation.monitoring.observations import Baseline
from daformer_kedro.evaluation.monitoring.summary import summarise_days
from daformer_kedro.evaluation.out_of_distribution import SHARE_KEPT
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.pipelines.figure import Figure
from daformer_kedro.serving import Classifier, ServedModel
from daformer_kedro.serving.stream import (
    Stream,
    is_table,
    labels_not_learnt,
    observations_of,
    observed_days,
    stream_of_images,
    stream_of_table,
)

_SEED = 0  # of permutations: the same stream gets the same report


def read_stream_node(
    model: ServedModel, monitor: MonitorConfig
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the answers for each image, by day; images of a folder are classified."""
    if monitor.images is None:
        raise InputError(
            "monitor.images is not set: a folder of images, a table of predictions or "
            "a request log, such as --params monitor.images=photos"
        )
    _check_reference(model, monitor)  # before hours of classifying
    stream = _stream(monitor.images, model, monitor)
    names = model.checkpoint.description["class_names"]
    observations_of(stream.table, names, monitor.images)  # nothing is stored of others
    return stream.table, dict(stream.left_out)


def compare_days_node(
    model: ServedModel,
    stream: pd.DataFrame,
    left_out: dict[str, int],
    monitor: MonitorConfig,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], bool, bool]:
    """Compare each day with the reference; say whether any differs, was tested."""
    names: list[str] = list(model.checkpoint.description["class_names"])
    baseline, origin = _baseline(model, monitor, names)
    days = observed_days(stream, names, monitor.images or "the stored images")
    table = measure_days(days, baseline, monitor, np.random.default_rng(_SEED))
    about = {
        "model": model.name,
        "images": monitor.images,
        "tests": list(monitor.tests),
        "unknown_threshold": baseline.threshold,
        "reference": {"origin": origin, "num_images": len(baseline.reference)},
        "left_out": left_out,
    }
    summary = summarise_days(table, monitor, about, labels_not_learnt(stream, names))
    classes, is_tested = classes_by_day(days, baseline, names), table["tested"].any()
    return table, classes, summary, summary["differs"], bool(is_tested)


def draw_days_node(days: pd.DataFrame, monitor: MonitorConfig) -> Figure:
    """Draw unknown images, confidence, class mix and accuracy by day."""
    from daformer_kedro.evaluation import figures

    return figures.monitoring_figure(days, monitor.period)


def _stream(given: str, model: ServedModel, config: MonitorConfig) -> Stream:
    path = Path(os.path.expanduser(given))
    if is_table(path):
        return stream_of_table(path, config, model.name)
    device = resolve_device(config.device, "monitor.device")
    return stream_of_images(path, Classifier(model, device), config)


def _check_reference(model: ServedModel, config: MonitorConfig) -> None:
    """Make sure that there is something to compare with."""
    if config.reference is not None:
        if not os.path.exists(os.path.expanduser(config.reference)):
            raise InputError(f"monitor.reference = {config.reference}: does not exist")
    elif model.reference is None:
        raise InputError(
            f"model {model.name}: has no reference, since an earlier version of this "
            "project made it. kedro run --only-missing-outputs adds it; or name images "
            "of a time when all was well: monitor.reference"
        )


def _baseline(
    model: ServedModel, config: MonitorConfig, class_names: list[str]
) -> tuple[Baseline, str]:
    """Return what days are compared with, and where it comes from."""
    _check_reference(model, config)
    counts = None
    if config.reference is not None:
        whole = replace(config, since=None, until=None)
        table = _stream(config.reference, model, whole).table
        reference = observations_of(table, class_names, config.reference)
        origin = config.reference
    else:
        assert model.reference is not None
        reference, origin = model.reference.observed, "images held out of training"
    if model.reference is not None:
        counts = model.reference.training_counts
    threshold = model.threshold
    if threshold is None:  # a method that keeps nothing to compare with
        threshold = float(np.quantile(reference.unknown_scores, SHARE_KEPT))
    return Baseline(reference, threshold, len(class_names), counts), origin
