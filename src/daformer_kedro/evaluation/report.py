"""A page that shows a whole run."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.percent import percent
from daformer_kedro.evaluation.split import is_on_validation
from daformer_kedro.evaluation.summary import summary_table
from daformer_kedro.evaluation.templates import render_template

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HEADLINES = (
    ("Average incremental accuracy", "average_incremental_accuracy", "%"),
    ("Last accuracy", "last_accuracy", "%"),
    ("Last balanced accuracy", "last_balanced_accuracy", "%"),
    ("Forgetting", "forgetting", "points"),
    ("Backward transfer", "backward_transfer", "points"),
)


def render_report(
    title: str,
    metrics: Mapping[str, Any],
    settings: Mapping[str, Any],
    figures: Mapping[str, bytes],
    command: str,
    left_out: Mapping[str, Any] | None = None,
    confidence: Mapping[str, Any] | None = None,
) -> str:
    """Render a self-contained HTML page of results, figures, settings and command.

    The page loads nothing from anywhere and runs no script. Equal arguments give
    equal text.

    Args:
        title: the run's name.
        metrics: what :func:`daformer_kedro.evaluation.metrics.summarise` returns.
        settings: the parameters, nested as they were written.
        figures: PNG bytes by name; ``accuracy_matrix`` is captioned
            "Accuracy matrix".
        command: what to type to make the run again.
        left_out: ``skipped``, file and reason of images that cannot be read, and
            ``passed_over``, numbers of other files by suffix; ``None`` where images
            are not files.
        confidence: calibration of the final model and detection of unknown images;
            ``None`` where it was not measured.

    Raises:
        InputError: a figure is not a PNG.
    """
    return render_template(
        "daformer_kedro.evaluation",
        "report.html.j2",
        autoescape=True,
        title=title,
        headlines=_headlines(metrics) + _confidence_headlines(confidence),
        rows=_rows(metrics),
        on_validation=is_on_validation(settings),
        settings=_flatten(settings),
        figures=[_figure(name, png) for name, png in figures.items()],
        command=command,
        left_out=left_out,
    )


def _headlines(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, number and unit of each headline that the run has."""
    return [
        (name, percent(metrics[key]), unit)
        for name, key, unit in _HEADLINES
        if metrics[key] is not None
    ]


def _confidence_headlines(
    confidence: Mapping[str, Any] | None,
) -> list[tuple[str, str, str]]:
    if confidence is None:
        return []
    errors = confidence["calibration"]["expected_calibration_error"]["test"]
    change = f"{percent(errors['before'])} → {percent(errors['after'])}"
    found = [("Calibration error, before → after", change, "%")]
    area = confidence["unknown"]["average_auroc"]
    if area is not None:
        found.append(("Unknown images, area under ROC", f"{area:.3f}", ""))
    return found


def _rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of the table of tasks."""
    table = summary_table(metrics)
    neighbours = metrics["neighbourhood_preservation"]
    return [
        [
            str(task),
            str(classes),
            percent(accuracy),
            percent(top5),
            percent(kept),
            f"{exemplars:,}",
            f"{parameters:,}",
        ]
        for task, classes, accuracy, top5, kept, exemplars, parameters in zip(
            table["task"],
            table["num_classes_seen"],
            table["accuracy"],
            metrics["top5_accuracy_after_task"],
            neighbours,
            table["num_exemplars"],
            table["num_parameters"],
            strict=True,
        )
    ]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested settings to dotted names and values."""
    flat: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat += _flatten(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", str(value)))
    return flat


def _figure(name: str, png: bytes) -> tuple[str, str, int, int]:
    """Return caption, data URL, width and height in pixels of a figure."""
    if not png.startswith(_PNG_SIGNATURE):
        raise InputError(f"figure {name!r} starts with {png[:8]!r}: must be a PNG")
    caption = name.replace("_", " ")
    address = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    # A PNG begins with its header chunk: width and height are at fixed places.
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    return caption[:1].upper() + caption[1:], address, width, height
