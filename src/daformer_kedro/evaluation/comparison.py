"""Comparison of finished runs: repeats averaged, published results below.

A *run* is a row with ``run_id``, ``protocol``, ``edition``, ``baseline``,
``schedule``, ``settings_key``, ``run_key``, ``class_order``, ``seed``, ``start_time``,
``memory`` (exemplars in all, as text), the accuracies
``average_incremental_accuracy``, ``last_accuracy``, ``forgetting`` and
``backward_transfer`` (fractions of 1), the lists ``accuracy_after_task`` and
``num_classes_seen``, and ``settings`` (a mapping of dotted names to text).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from daformer_kedro.config.keys import HARDWARE_SETTINGS
from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.published import published_for
from daformer_kedro.evaluation.split import is_on_validation
from daformer_kedro.methods import METHODS

MEASURES = (
    "average_incremental_accuracy",
    "last_accuracy",
    "forgetting",
    "backward_transfer",
)
GROUP = ["edition", "baseline", "schedule", "settings_key"]
"""What runs have in common that are repeats of one another."""

_PUBLISHED_MEASURES = {
    "average_incremental_accuracy": "average_incremental_top1",
    "last_accuracy": "last_top1",
}
# Where repeats may differ: seeds, places, and what the label already mentions.
_NOT_A_DIFFERENCE = (
    "seed",
    "baseline",
    "training.schedule",
    "model.decoder",
    "source.evaluate_on",
    "source.validation_fraction",
    "scenario.class_order",
    "source.path",
    "source.download",
    *(f"training.{name}" for name in HARDWARE_SETTINGS),
    "model.edition",
)


def check_runs(runs: pd.DataFrame) -> str:
    """Return the one protocol of the runs.

    Raises:
        InputError: there are no runs, or they are of several protocols or divide the
            classes into other tasks; such numbers must not be compared.
    """
    if runs.empty:
        raise InputError("runs is empty: at least one finished run is needed")
    counts = runs["protocol"].value_counts().sort_index()
    if len(counts) > 1:
        found = ", ".join(f"{name} ({count} runs)" for name, count in counts.items())
        raise InputError(
            f"comparison.filter matches runs of {len(counts)} protocols: {found}. "
            "Numbers of different protocols cannot be compared; choose one, such as "
            f"comparison.filter=\"tags.protocol = '{counts.index[0]}'\""
        )
    divisions = runs.drop_duplicates("settings_key")
    divisions = divisions[~divisions["num_classes_seen"].map(tuple).duplicated()]
    if len(divisions) > 1:
        found = "; ".join(
            f"{list(seen)} classes seen (settings_key {key})"
            for seen, key in zip(
                divisions["num_classes_seen"], divisions["settings_key"], strict=True
            )
        )
        raise InputError(
            f"comparison.filter matches runs with different tasks: {found}. Choose "
            'one, such as comparison.filter="tags.settings_key = '
            f"'{divisions['settings_key'].iloc[0]}'\""
        )
    return str(counts.index[0])


def latest_of_each(runs: pd.DataFrame) -> pd.DataFrame:
    """Keep the latest run of each configuration: running it again is not a repeat."""
    ordered = runs.sort_values("start_time", kind="stable")
    return ordered.drop_duplicates("run_key", keep="last").reset_index(drop=True)


def compare(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate mean and deviation over repeats, best average first, then published.

    Repeats are runs of the same settings that differ in the class order and the seed.
    Only they are averaged.

    Args:
        runs: see the module; of one protocol.

    Returns:
        One row per method: ``method``, ``num_runs`` (missing for published results),
        for each of :data:`MEASURES` its mean **in percent** and ``…_deviation`` (of a
        sample; missing for a single run), ``memory``, ``differs`` (what makes a row
        not directly comparable) and ``source``.

    Raises:
        InputError: see :func:`check_runs`.
    """
    protocol = check_runs(runs)
    runs = latest_of_each(runs)
    labels = method_labels(runs)
    rows = [
        _own_row(labels[key], group)
        for key, group in runs.groupby(GROUP, sort=True, dropna=False)
    ]
    own = pd.DataFrame(rows).sort_values(
        "average_incremental_accuracy", ascending=False, kind="stable"
    )
    published = _published_rows(protocol, runs)
    both = [table for table in (own, published) if not table.empty]
    return pd.concat(both, ignore_index=True).astype({"num_runs": "Int64"})


def as_compared(stored: pd.DataFrame) -> pd.DataFrame:
    """Return a table of :func:`compare` that was stored as CSV as it was before.

    A CSV file knows neither empty texts nor whole numbers of which some are missing.
    """
    differs = ["" if pd.isna(text) else str(text) for text in stored["differs"]]
    return stored.assign(differs=differs).astype({"num_runs": "Int64"})


def mean_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the accuracy after each task over repeats.

    Args:
        runs: see the module; of one protocol.

    Returns:
        One row per method and task: ``method``, ``num_runs``, ``task``,
        ``num_classes_seen``, ``accuracy`` and ``deviation`` (fractions of 1; the
        deviation is missing for a single run).

    Raises:
        InputError: see :func:`check_runs`.
    """
    check_runs(runs)
    runs = latest_of_each(runs)
    labels = method_labels(runs)
    tables = []
    for key, group in runs.groupby(GROUP, sort=True, dropna=False):
        values = np.array(group["accuracy_after_task"].tolist(), dtype=float)
        tables.append(
            pd.DataFrame(
                {
                    "method": labels[key],
                    "num_runs": len(group),
                    "task": range(values.shape[1]),
                    "num_classes_seen": group["num_classes_seen"].iloc[0],
                    "accuracy": values.mean(axis=0),
                    "deviation": _deviation(values),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def method_labels(runs: pd.DataFrame) -> dict[tuple[Hashable, ...], str]:
    """Label each group of repeats; different groups have different labels.

    Edition, baseline and schedule, and where these are not enough the settings that
    differ.
    """
    groups = {key: group.iloc[0] for key, group in runs.groupby(GROUP, dropna=False)}
    labels = {}
    for key, run in groups.items():
        label = _method(run)
        rivals = [other for other in groups.values() if _method(other) == label]
        if len(rivals) > 1:
            label = f"{label} ({_differences(run, rivals) or run['settings_key']})"
        labels[key] = label
    if len(set(labels.values())) < len(labels):
        return {key: f"{label}, {key[-1]}" for key, label in labels.items()}
    return labels


def method_name(
    edition: str,
    baseline: str,
    schedule: str,
    *,
    decoder: str = "dual_attention",
    on_validation: bool = False,
) -> str:
    """Name a run of this project, as tables and figures call it.

    The name always mentions a schedule that is not the published one, DyTox's decoder
    under DAFormer's recipe, and accuracies on validation images.
    """
    method = METHODS.get(baseline)
    label = f"{baseline} ({{edition}})" if method is None else method.label
    name = label.format(edition=edition)
    if decoder == "task_attention" and (method is None or method.has_editions):
        recipe = f"DAFormer's recipe{'' if baseline == 'none' else f', {baseline}'}"
        name = f"DyTox's decoder with {recipe}"
    if schedule != "published":
        name += f", {schedule} schedule"
    return f"{name}, on validation images" if on_validation else name


def _method(run: pd.Series) -> str:
    settings: Mapping[str, str] = run["settings"]
    return method_name(
        run["edition"],
        run["baseline"],
        run["schedule"],
        decoder=settings.get("model.decoder", "dual_attention"),
        on_validation=is_on_validation_images(settings),
    )


def is_on_validation_images(settings: Mapping[str, str]) -> bool:
    """Return it of settings as MLflow holds them: flat, and all of them text."""
    names = ("evaluate_on", "validation_fraction")
    values = {name: settings.get(f"source.{name}", "None") for name in names}
    known = {name: value for name, value in values.items() if value != "None"}
    return is_on_validation({"source": known})


def _differences(run: pd.Series, rivals: list[pd.Series]) -> str:
    """List the settings in which a run differs from others of its name."""
    own: Mapping[str, str] = run["settings"]
    names = sorted(
        name
        for name in own
        if name not in _NOT_A_DIFFERENCE
        and len({rival["settings"].get(name) for rival in rivals}) > 1
    )
    return ", ".join(f"{name}={own[name]}" for name in names)


def _own_row(label: str, group: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"method": label, "num_runs": len(group)}
    for measure in MEASURES:
        values = 100 * group[measure].to_numpy(dtype=float)
        row[measure] = values.mean()
        row[f"{measure}_deviation"] = float(_deviation(values[:, None])[0])
    return row | {
        "memory": group["memory"].iloc[0],
        "differs": "",
        "source": "this project",
    }


def _deviation(values: np.ndarray) -> np.ndarray:
    """Return the sample deviation down the rows; missing for a single row."""
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    return values.std(axis=0, ddof=1)


_BACKBONE = "ConViT"
"""The published encoder, as ``backbone`` of the published results names it."""


def _published_rows(protocol: str, runs: pd.DataFrame) -> pd.DataFrame:
    benchmark, _, increments = protocol.partition("_")
    table = published_for(benchmark, increments)
    budgets = set(runs["memory"])
    other_tasks = not _follows(increments, runs)
    rows = []
    for result in table.to_dict("records"):
        is_pretrained = result["pretraining"] != "none"
        network = f"{result['backbone']}, {result['pretraining']}"
        if not is_pretrained:
            network = "" if result["backbone"] == _BACKBONE else result["backbone"]
        differs = [text for text in (network, str(result["note"])) if text]
        if result["memory"] not in budgets:
            differs.insert(0, f"memory of {result['memory']}")
        if other_tasks:
            differs.insert(0, f"tasks of {increments}")
        rows.append(
            {
                "method": result["method"],
                "num_runs": pd.NA,
                **{ours: result[name] for ours, name in _PUBLISHED_MEASURES.items()},
                "memory": result["memory"],
                "differs": "; ".join(differs),
                "source": result["source"],
            }
        )
    return pd.DataFrame(rows)


def _follows(increments: str, runs: pd.DataFrame) -> bool:
    """Return whether the runs have the tasks of a protocol such as ``10-10``."""
    first, _, later = increments.partition("-")
    if not (first.isdecimal() and later.isdecimal()):
        return True
    return all(
        list(seen) == [int(first) + task * int(later) for task in range(len(seen))]
        for seen in runs["num_classes_seen"]
    )
