"""A page for whoever gets the exported files: what the model is good for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from daformer_kedro.evaluation.repeats import method_name
from daformer_kedro.evaluation.split import is_on_validation
from daformer_kedro.evaluation.templates import render_template
from daformer_kedro.model.size import num_parameters
from daformer_kedro.scenario.sources import FILE_SOURCES, SOURCES
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.served_model import ServedModel

_MOST_CLASSES = 200
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKUP = re.compile(r"[\\`*\[\]|~#$!]|(?<![^\W_])_|_(?![^\W_])")

_PUBLISHED_ENCODER = "gated_attention"
_UNKNOWN_LICENCE = "Whoever passes this model on must know the licence of the images."


def model_card(
    model: ServedModel, classifier: Classifier, exported: Mapping[str, Any]
) -> str:
    """Write a model card in Markdown.

    Args:
        model: with its metadata, as far as it is known.
        classifier: of the model.
        exported: metadata of the exported files.
    """
    metadata, about = model.metadata, model.checkpoint.description
    height, width, channels = classifier.image_shape
    settings = metadata.get("settings", {})
    return render_template(
        "daformer_kedro.serving",
        "model_card.md.j2",
        autoescape=False,
        title=_plain(metadata.get("run_name", model.name)),
        metadata=metadata,
        network=_network(about["model"]),
        weights=_origin(about.get("encoder")),
        num_parameters=num_parameters(classifier.network),
        run_key=metadata.get("run_key", model.name),
        height=height,
        width=width,
        colour="grey" if channels == 1 else "RGB",
        num_classes=len(classifier.class_names),
        tasks=_classes_of_tasks(classifier),
        measured_on=measured_on(metadata),
        is_calibrated=model.is_calibrated,
        calibration=model.calibration,
        licence=_licence(settings.get("source", {}).get("name")),
        exported=exported,
        **_protocol(settings),
    )


def _licence(source: str | None) -> str:
    """Name the terms of the images that a model has learnt from."""
    known: Any = {**SOURCES, **FILE_SOURCES}.get(source or "")
    return getattr(known, "licence", _UNKNOWN_LICENCE)


def _network(config: Mapping[str, Any]) -> str:
    name = {
        "task_attention": "DyTox (task attention)",
        "mean": "mean of the encoder's tokens",
    }.get(config["decoder"], f"DAFormer, edition {config['edition']}")
    encoder = config.get("encoder")
    is_published = encoder in (None, _PUBLISHED_ENCODER)
    return name if is_published else f"{name}, encoder `{encoder}`"


def _origin(encoder: Mapping[str, Any] | None) -> str | None:
    """Describe licence and source of the weights that an encoder began with."""
    if encoder is None:
        return None
    licence = encoder["licence"] or "not known; ask at the source"
    source = _plain(encoder["source"])
    return f"{_plain(licence)}. From {source}, SHA-256 `{encoder['sha256']}`."


def method_label(settings: Mapping[str, Any]) -> str:
    """Name the method as tables of runs call it."""
    model = settings["model"]
    return method_name(
        model["edition"],
        settings["baseline"],
        settings["training"]["schedule"],
        decoder=model["decoder"],
    )


def measured_on(metadata: Mapping[str, Any]) -> str:
    """Name the images that a model was measured on: test or validation images."""
    on_validation = is_on_validation(metadata.get("settings", {}))
    return "validation images" if on_validation else "test images"


def _protocol(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return protocol, method and rehearsal memory in words, as far as known."""
    if not settings:
        return {}
    memory = settings["memory"]
    budget = memory["total"] or f"{memory['per_class']} per class"
    kept = {"everything": "all images", "nothing": "none"}.get(
        memory["keep"], f"{budget}, by {memory['selection']}"
    )
    return {
        "protocol": _plain(settings["protocol"]),
        "method": method_label(settings),
        "memory": kept,
    }


def _classes_of_tasks(classifier: Classifier) -> list[str]:
    """List the names of each task's classes, as many as a line takes."""
    ends = itertools.accumulate(classifier.task_sizes)
    return [
        _listed(classifier.class_names[end - size : end])
        for end, size in zip(ends, classifier.task_sizes, strict=True)
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_plain(name) for name in names[:_MOST_CLASSES])
    more = len(names) - _MOST_CLASSES
    return f"{shown} and {more} more" if more > 0 else shown


def _plain(text: str) -> str:
    """A text from outside, on one line and without meaning to Markdown or HTML."""
    escaped = _MARKUP.sub(r"\\\g<0>", _LINE_ENDS.sub(" ", text).strip())
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        escaped = escaped.replace(sign, entity)
    return escaped
