"""A page for whoever gets the exported files: what the model is good for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daformer_kedro.evaluation.comparison import method_name
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
    """A model card in Markdown.

    Args:
        model: with its facts, where they are known.
        classifier: of the model.
        metadata: of the exported files.
    """
    facts = model.facts
    parts = [
        _head(model, classifier),
        _data(facts, classifier),
        _results(facts),
        _confidence(facts, model),
        _limits(facts, classifier),
        _licences(facts),
        _files(facts, metadata),
        _again(facts),
    ]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _head(model: ServedModel, classifier: Classifier) -> Iterator[str]:
    about = model.checkpoint.description["model"]
    network = classifier.network
    kind = (
        "DyTox (task attention)"
        if about["decoder"] == "task_attention"
        else f"DAFormer, edition {about['edition']}"
    )
    yield f"# {_plain(model.facts.get('run_name', model.name))}"
    yield ""
    yield (
        f"An image classifier that learnt {len(classifier.class_names)} classes in "
        f"{len(classifier.task_sizes)} tasks, one after another."
    )
    yield ""
    yield f"- Network: {kind}, {network.num_parameters:,} parameters"
    yield f"- Run key: `{model.facts.get('run_key', model.name)}`"
    height, width, channels = classifier.image_shape
    colour = "grey" if channels == 1 else "RGB"
    yield f"- Reads: {height} × {width} pixels, {colour}"


def _data(facts: Mapping[str, Any], classifier: Classifier) -> Iterator[str]:
    yield "## Data and protocol"
    yield ""
    settings = facts.get("settings")
    if settings:
        source, memory = settings["source"], settings["memory"]
        budget = memory["total"] or f"{memory['per_class']} a class"
        kept = {"everything": "all images", "nothing": "none"}.get(
            memory["keep"], f"{budget}, by {memory['selection']}"
        )
        yield f"- Protocol: {_plain(settings['protocol'])}, source {source['name']}"
        yield f"- Class order: {settings['scenario']['class_order']}"
        schedule = settings["training"]["schedule"]
        yield f"- Seed: {settings['seed']}, schedule: {schedule}"
        yield f"- Method: {method_label(settings)}"
        yield f"- Rehearsal memory: {kept}"
        yield ""
    yield "| task | classes |"
    yield "| ---: | --- |"
    start = 0
    for task, size in enumerate(classifier.task_sizes):
        names = classifier.class_names[start : start + size]
        start += size
        yield f"| {task} | {_listed(names)} |"


def _results(facts: Mapping[str, Any]) -> Iterator[str]:
    metrics = facts.get("metrics")
    if not metrics:
        return
    yield f"## Results on {measured_on(facts)}"
    yield ""
    yield "After the last task:"
    yield ""
    yield "| task | accuracy on its classes (%) | when it was learnt (%) |"
    yield "| ---: | ---: | ---: |"
    matrix = metrics["accuracy_matrix"]
    for task, accuracy in enumerate(matrix[-1]):
        yield f"| {task} | {_percent(accuracy)} | {_percent(matrix[task][task])} |"
    yield ""
    yield f"- Accuracy on all classes: {_percent(metrics['last_accuracy'])} %"
    average = _percent(metrics["average_incremental_accuracy"])
    yield f"- Average incremental accuracy: {average} %"
    if metrics["forgetting"] is not None:
        yield f"- Forgetting: {_percent(metrics['forgetting'])} points"


def _confidence(facts: Mapping[str, Any], model: ServedModel) -> Iterator[str]:
    yield "## Probabilities and unknown images"
    yield ""
    if not model.is_calibrated:
        yield "The probabilities are not calibrated."
    else:
        biases = model.calibration.task_biases
        extent = "a bias for each task" if biases else "no biases"
        yield (
            f"Calibrated on the rehearsal memory: temperature "
            f"{model.calibration.temperature:.3f}, {extent}."
        )
    confidence = facts.get("confidence")
    if not confidence:
        return
    yield ""
    yield "| expected calibration error (%) | before | after |"
    yield "| --- | ---: | ---: |"
    errors = confidence["calibration"]["expected_calibration_error"]
    for where, name in (("test", measured_on(facts)), ("memory", "the memory")):
        if where in errors:
            before, after = errors[where]["before"], errors[where]["after"]
            yield f"| {name} | {_percent(before)} | {_percent(after)} |"
    unknown = confidence["unknown"]
    if unknown["average_auroc"] is None:
        return
    score = {
        "distance": "the cosine distance to the nearest exemplar",
        "energy": "the energy of the logits",
    }[unknown["score"]]
    yield ""
    yield (
        f"The unknown score is {score}. It tells classes of later tasks from learnt "
        f"ones with an area under ROC of {unknown['average_auroc']:.3f} on average "
        "(0.5 is chance):"
    )
    yield ""
    yield "| after task | area under ROC | known kept (%) | unknown rejected (%) |"
    yield "| ---: | ---: | ---: | ---: |"
    for found in unknown["after_task"]:
        kept = _percent(found.get("known_kept"))
        rejected = _percent(found.get("unknown_rejected"))
        yield f"| {found['task']} | {found['auroc']:.3f} | {kept} | {rejected} |"


def _limits(facts: Mapping[str, Any], classifier: Classifier) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        "- Every image gets a class. Whether it belongs to any must be told by the "
        "unknown score, and that errs as often as the table says."
    )
    yield (
        "- Classes of earlier tasks may be told worse than when they were learnt: see "
        "the table."
    )
    yield (
        f"- Measured on {measured_on(facts)} of the same source. Photographs of other "
        "cameras, sizes and subjects are not covered by these numbers."
    )
    if classifier.network.in_channels == 1:
        yield "- It reads brightness alone, and the sign of the contrast matters."
    if facts.get("settings", {}).get("source", {}).get("name") == "digits":
        yield "- Digits are bright on a dark ground; dark ink must be inverted first."


def _licences(facts: Mapping[str, Any]) -> Iterator[str]:
    yield "## Licences"
    yield ""
    name = facts.get("settings", {}).get("source", {}).get("name")
    yield f"- Images: {_LICENCES.get(name, _UNKNOWN_LICENCE)}"
    yield (
        "- Method: Wang et al., *Dual-Attention Transformers for Class-Incremental "
        "Learning: A Tale of Two Memories*, IEEE Transactions on Multimedia."
    )


def _files(facts: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[str]:
    checks = metadata["largest_difference"]
    images = measured_on(facts) if checks["on_test_images"] else "random images"
    yield "## Files"
    yield ""
    yield "| file | runs in | largest difference from the model |"
    yield "| --- | --- | ---: |"
    yield f"| `model.onnx` | ONNX Runtime | {checks['onnx']:.1e} |"
    yield f"| `model.pt2` | `torch.export.load` | {checks['program']:.1e} |"
    yield ""
    yield (
        f"Measured on {checks['num_images']} {images}, of probabilities and unknown "
        "scores. Input: `images`, uint8 "
        f"{metadata['input']['shape']}; class names, preprocessing and outputs are in "
        "`metadata.json` and in both files."
    )


def _again(facts: Mapping[str, Any]) -> Iterator[str]:
    command = facts.get("run_command")
    if not command:
        return
    yield "## Make it again"
    yield ""
    yield "```bash"
    yield str(command)
    yield f"kedro run --pipelines export --params export.model={facts['run_key']}"
    yield "```"


def method_label(settings: Mapping[str, Any]) -> str:
    """Name the method as tables of runs call it."""
    return method_name(
        settings["model"]["edition"],
        settings["baseline"],
        settings["training"]["schedule"],
        decoder=settings["model"]["decoder"],
    )


def measured_on(facts: Mapping[str, Any]) -> str:
    """Name the images that a model was measured on: test or validation images."""
    source = facts.get("settings", {}).get("source", {})
    held_out = source.get("validation_fraction") is not None
    return "validation images" if held_out else "test images"


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


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
