"""Repeats: runs of the same settings that differ in the class order and the seed.

A *run* is a row with ``run_id``, ``protocol``, ``edition``, ``baseline``,
``schedule``, ``settings_key``, ``run_key``, ``class_order``, ``seed``, ``start_time``,
``memory`` (exemplars in all, as text), the accuracies
``average_incremental_accuracy``, ``last_accuracy``, ``forgetting`` and
``backward_transfer`` (fractions of 1), the lists ``accuracy_after_task`` and
``num_classes_seen``, ``settings`` (a mapping of dotted names to text), and
``test_images`` (digest of the images that it was tested on; missing where unknown).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import pandas as pd

from daformer_kedro.config.keys import HARDWARE_SETTINGS
from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.split import is_on_validation
from daformer_kedro.methods import METHODS

_GROUP = ["edition", "baseline", "schedule", "settings_key"]
"""Columns in which runs agree that are repeats of one another."""

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


def repeats_by_method(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Divide runs into the repeats of each method, by its label.

    Of each configuration, class order and seed the latest run is kept: running it again
    is not a repeat, nor is running it on the same images at another path.

    Args:
        runs: see the module; of one protocol.

    Raises:
        InputError: there are no runs, or they are of several protocols, divide the
            classes into other tasks, or have the same settings and other test images;
            such numbers must not be compared.
    """
    _check(runs)
    ordered = runs.sort_values("start_time", kind="stable")
    latest = ordered.drop_duplicates("run_key", keep="last")
    _check_images(latest)
    once = [*_GROUP, "class_order", "seed"]
    latest = latest.drop_duplicates(once, keep="last").reset_index(drop=True)
    labels = method_labels(latest)
    groups = latest.groupby(_GROUP, sort=True, dropna=False)
    return {labels[key]: group for key, group in groups}


def _check(runs: pd.DataFrame) -> None:
    """Make sure that the runs can be compared; see :func:`repeats_by_method`."""
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


def _check_images(runs: pd.DataFrame) -> None:
    """Make sure that repeats were tested on the same images, as far as is known."""
    if "test_images" not in runs:
        return
    known = runs.dropna(subset=["test_images"])
    for _, group in known.groupby(_GROUP, dropna=False):
        others = group.drop_duplicates("test_images")
        if len(others) > 1:
            found = ", ".join(
                f"{run['test_images']} (source.path = "
                f"{run['settings'].get('source.path', 'None')})"
                for run in others.to_dict("records")
            )
            raise InputError(
                f"comparison.filter matches runs of {_method(others.iloc[0])} with the "
                f"same settings and other test images, by their digests: {found}. Such "
                "numbers cannot be averaged; choose one, such as "
                'comparison.filter="dataset.digest = '
                f"'{others['test_images'].iloc[0]}'\""
            )


def method_labels(runs: pd.DataFrame) -> dict[tuple[Hashable, ...], str]:
    """Label each group of repeats; different groups have different labels.

    Edition, baseline and schedule, and where these are not enough the settings that
    differ.
    """
    groups = {key: group.iloc[0] for key, group in runs.groupby(_GROUP, dropna=False)}
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


def is_on_validation_images(settings: Mapping[str, str]) -> bool:
    """Return it of settings as MLflow holds them: flat, and all of them text."""
    names = ("evaluate_on", "validation_fraction")
    values = {name: settings.get(f"source.{name}", "None") for name in names}
    known = {name: value for name, value in values.items() if value != "None"}
    return is_on_validation({"source": known})


def _method(run: pd.Series) -> str:
    settings: Mapping[str, str] = run["settings"]
    return method_name(
        run["edition"],
        run["baseline"],
        run["schedule"],
        decoder=settings.get("model.decoder", "dual_attention"),
        on_validation=is_on_validation_images(settings),
    )


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
