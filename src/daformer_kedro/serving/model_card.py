"""A page for whoever gets the exported files: what the model is good for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from daformer_kedro.evaluation.comparison import method_name
from daformer_kedro.evaluation.split import is_on_validation
from daformer_kedro.evaluation.templates import render_template
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.served_model import ServedModel

_MOST_CLASSES = 200
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKUP = re.compile(r"[\\`*\[\]|~#$!]|(?<![^\W_])_|_(?![^\W_])")

_CIFAR = (
    "{} (A. Krizhevsky, 2009) comes without a licence; its images were collected from "
    "the web. Cite its technical report."
)
_IMAGENET = (
    "ImageNet: for non-commercial research and education, by its terms of access. The "
    "images belong to their owners."
)
_LICENCES = {
    "digits": "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, UCI "
    "Machine Learning Repository), CC BY 4.0.",
    "cifar10": _CIFAR.format("CIFAR-10"),
    "cifar100": _CIFAR.format("CIFAR-100"),
    "fashion_mnist": "Fashion-MNIST (Zalando SE), MIT licence.",
    "imagenet100": _IMAGENET,
    "imagenet1000": _IMAGENET,
}
_UNKNOWN_LICENCE = "Whoever passes this model on must know the licence of the images."


def model_card(
    model: ServedModel, classifier: Classifier, metadata: Mapping[str, Any]
) -> str:
    """Write a model card in Markdown.

    Args:
        model: with its facts, where they are known.
        classifier: of the model.
        metadata: of the exported files.
    """
    facts = model.facts
    height, width, channels = classifier.image_shape
    settings = facts.get("settings", {})
    return render_template(
        "daformer_kedro.serving",
        "model_card.md.j2",
        autoescape=False,
        title=_plain(facts.get("run_name", model.name)),
        facts=facts,
        network=_network(model),
        num_parameters=classifier.network.num_parameters,
        run_key=facts.get("run_key", model.name),
        height=height,
        width=width,
        colour="grey" if channels == 1 else "RGB",
        num_classes=len(classifier.class_names),
        tasks=_classes_of_tasks(classifier),
        measured_on="validation images"
        if is_on_validation(settings)
        else "test images",
        is_calibrated=model.is_calibrated,
        calibration=model.calibration,
        licence=_LICENCES.get(settings.get("source", {}).get("name"), _UNKNOWN_LICENCE),
        metadata=metadata,
        **_protocol(settings),
    )


def _network(model: ServedModel) -> str:
    about = model.checkpoint.description["model"]
    if about["decoder"] == "task_attention":
        return "DyTox (task attention)"
    return f"DAFormer, edition {about['edition']}"


def _protocol(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return protocol, method and rehearsal memory in words, as far as known."""
    if not settings:
        return {}
    memory, model = settings["memory"], settings["model"]
    budget = memory["total"] or f"{memory['per_class']} per class"
    method = method_name(
        model["edition"],
        settings["baseline"],
        settings["training"]["schedule"],
        decoder=model["decoder"],
    )
    kept = {"everything": "all images", "nothing": "none"}.get(
        memory["keep"], f"{budget}, by {memory['selection']}"
    )
    return {"protocol": _plain(settings["protocol"]), "method": method, "memory": kept}


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
