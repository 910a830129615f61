"""A model as the demo page presents it: classes by task, accuracy, date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daformer_kedro.model.size import num_parameters
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.model_card import measured_on, method_label

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class KnownClass:
    """A class, and the row of its first exemplar where the model keeps one."""

    name: str
    exemplar: int | None


@dataclass(frozen=True)
class KnownTask:
    """A task's classes, and the final accuracy on them in percent, if measured."""

    number: int
    classes: tuple[KnownClass, ...]
    accuracy: float | None


@dataclass(frozen=True)
class Example:
    """A test image to try: its row, and its class where that is known."""

    row: int
    name: str | None


@dataclass(frozen=True)
class Knowledge:
    """Facts that the page shows before an image is asked about.

    Attributes:
        title: method and protocol, or the model's name where these are not known.
        key: the run key.
        made: when the last task was learnt, if that is known.
        tasks: in order.
        accuracy: in percent, on the images of all classes; ``None`` if not measured.
        measured_on: test or validation images.
        examples: test images to try.
        has_exemplars: whether images can be compared with remembered ones.
        tells_unknown: whether they can be compared with these, or with class means.
        is_calibrated: whether probabilities were fitted.
        details: further facts, name and value.
    """

    title: str
    key: str
    made: datetime | None
    tasks: tuple[KnownTask, ...]
    accuracy: float | None
    measured_on: str
    examples: tuple[Example, ...]
    has_exemplars: bool
    tells_unknown: bool
    is_calibrated: bool
    details: tuple[tuple[str, str], ...]

    @property
    def num_classes(self) -> int:
        """Classes of all tasks."""
        return sum(len(task.classes) for task in self.tasks)


def describe(classifier: Classifier) -> Knowledge:
    """Collect what is known of a model; results that are not its own are left out."""
    model = classifier.model
    metrics = model.metadata.get("metrics")
    matrix = metrics["accuracy_matrix"] if metrics else []
    if len(matrix) != len(classifier.task_sizes):
        metrics, matrix = None, []
    settings = model.metadata.get("settings")
    title = model.name
    if settings:
        label = method_label(settings)
        title = f"{label[:1].upper()}{label[1:]} on {settings['protocol']}"
    return Knowledge(
        title=title,
        key=str(model.metadata.get("run_key", model.name)),
        made=model.made,
        tasks=tuple(_tasks(classifier, matrix[-1] if matrix else None)),
        accuracy=100 * metrics["last_accuracy"] if metrics else None,
        measured_on=measured_on(model.metadata),
        examples=_examples(classifier),
        has_exemplars=model.bank is not None and model.bank.num_exemplars > 0,
        tells_unknown=model.known_embeddings is not None,
        is_calibrated=model.is_calibrated,
        details=tuple(_details(classifier, metrics)),
    )


def _tasks(
    classifier: Classifier, accuracies: list[float] | None
) -> Iterator[KnownTask]:
    bank = classifier.model.bank
    exemplars: dict[int, int] = {}
    if bank is not None and bank.num_exemplars:
        for row, target in enumerate(bank.targets.tolist()):
            exemplars.setdefault(target, row)
    start = 0
    for number, size in enumerate(classifier.task_sizes):
        accuracy = None if accuracies is None else accuracies[number]
        yield KnownTask(
            number,
            tuple(
                KnownClass(classifier.class_names[target], exemplars.get(target))
                for target in range(start, start + size)
            ),
            None if accuracy is None else 100 * accuracy,
        )
        start += size


def _examples(classifier: Classifier) -> tuple[Example, ...]:
    bank = classifier.model.bank
    if bank is None:
        return ()
    targets = bank.example_targets.tolist() or [None] * len(bank.examples)
    names = (None if t is None else classifier.class_names[t] for t in targets)
    return tuple(Example(row, name) for row, name in enumerate(names))


def _details(
    classifier: Classifier, metrics: Metadata | None
) -> Iterator[tuple[str, str]]:
    metadata = classifier.model.metadata
    height, width, channels = classifier.image_shape
    colour = "grey" if channels == 1 else "RGB"
    yield "Reads", f"{height} × {width} pixels, {colour}"
    yield "Parameters", f"{num_parameters(classifier.network):,}"
    if settings := metadata.get("settings"):
        yield "Source of images", str(settings["source"]["name"])
        yield "Class order", str(settings["scenario"]["class_order"])
        yield "Seed", str(settings["seed"])
    if metrics:
        average = metrics["average_incremental_accuracy"]
        yield "Average incremental accuracy", _percent(average)
        if metrics["forgetting"] is not None:
            yield "Forgetting", f"{100 * metrics['forgetting']:.1f} points"
    if confidence := metadata.get("confidence"):
        errors = confidence["calibration"]["expected_calibration_error"]["test"]
        yield "Calibration error", _percent(errors["after"])
        area = confidence["unknown"]["average_auroc"]
        if area is not None:
            yield "Unknown images, area under ROC", f"{area:.3f}"
        for found in confidence["unknown"]["after_task"][-1:]:
            if "known_kept" not in found:
                continue
            after = f"after task {found['task']}"
            yield f"Known kept as known, {after}", _percent(found["known_kept"])
            yield f"Unknown told, {after}", _percent(found["unknown_rejected"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
