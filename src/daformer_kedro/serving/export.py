"""A model as files that other programs run: ONNX, and a program of ``torch.export``.

Both take pixels as they are and hold normalisation, network, calibration and the
embeddings of exemplars or classes, so that no code of this project is needed.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from daformer_kedro.errors import InputError
from daformer_kedro.objectives.neighbourhood import concatenate_tasks
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.model_card import model_card
from daformer_kedro.serving.served_model import ServedModel

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_INPUT = "images"
_OUTPUTS = ("probabilities", "unknown_score")
_TOLERANCE = 1e-3
_NUM_RANDOM = 8


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """The exported files, in memory.

    Attributes:
        name: of the model, as a folder may be called.
        onnx: an ONNX model.
        program: an archive of ``torch.export`` (``.pt2``).
        metadata: class names, preprocessing, outputs and how far the files differ from
            the model; the same stands in both files.
        card: the model card, Markdown.
    """

    name: str
    onnx: bytes
    program: bytes
    metadata: Mapping[str, Any]
    card: str


class ExportedNetwork(nn.Module):
    """Pixels to calibrated probabilities and unknown scores, with nothing outside.

    Args:
        classifier: the model, on the CPU.
    """

    scale: Tensor
    offset: Tensor
    bias: Tensor
    bank: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        model = classifier.model
        preprocessing = model.checkpoint.preprocessing
        mean = torch.tensor(preprocessing.mean).view(1, -1, 1, 1)
        std = torch.tensor(preprocessing.std).view(1, -1, 1, 1)
        self.network = classifier.network
        self.num_tasks = len(classifier.task_sizes)
        self.temperature = model.calibration.temperature
        none = torch.zeros(1, sum(classifier.task_sizes))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("offset", -mean / std)
        bias = model.calibration.logits(none, classifier.task_sizes)
        self.register_buffer("bias", bias)
        bank = model.known_embeddings
        self.has_bank = bank is not None
        unit = torch.zeros(0, 1) if bank is None else F.normalize(bank, dim=1)
        self.register_buffer("bank", unit)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images.

        Args:
            images: (N, H, W, C) uint8.

        Returns:
            (N, C) probabilities and (N,) unknown scores.
        """
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.offset
        output = self.network(pixels)
        logits = output.logits
        probabilities = (logits / self.temperature + self.bias).softmax(dim=1)
        if not self.has_bank:
            return probabilities, -logits.logsumexp(dim=1)
        embeddings = concatenate_tasks(output.embeddings, self.num_tasks)
        similarity = F.normalize(embeddings, dim=1) @ self.bank.T
        return probabilities, 1 - similarity.amax(dim=1)


def export_model(model: ServedModel) -> ExportedModel:
    """Export a model, and check each file against it on test images.

    Raises:
        InputError: the packages of the extra ``export`` are not installed, or a file
            disagrees with the model.
    """
    _check_packages()
    classifier = Classifier(model)
    images = _test_images(classifier)
    answers = classifier.answer(images)
    expected = (answers.probabilities.numpy(), answers.unknown_scores.numpy())
    program = _export_program(ExportedNetwork(classifier).eval(), images)
    metadata = _metadata(classifier)
    onnx_bytes = _to_onnx(program, images, metadata)
    program_bytes = _to_archive(program, metadata)
    checks = {
        "num_images": len(images),
        "on_test_images": model.bank is not None and len(model.bank.examples) > 0,
        "onnx": _difference(_run_onnx(onnx_bytes, images), expected, "ONNX"),
        "program": _difference(
            _run_program(program_bytes, images), expected, "torch.export"
        ),
    }
    complete = {**metadata, "largest_difference": checks}
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in model.name)
    card = model_card(model, classifier, complete)
    return ExportedModel(name, onnx_bytes, program_bytes, complete, card)


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"export needs {', '.join(missing)}: pip install daformer_kedro[export]"
        )


def _test_images(classifier: Classifier) -> NDArray[np.uint8]:
    bank = classifier.model.bank
    if bank is not None and len(bank.examples):
        return bank.examples.numpy()
    shape = (_NUM_RANDOM, *classifier.image_shape)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _export_program(network: nn.Module, images: NDArray[np.uint8]) -> Any:
    # Two examples: of one, the size of the batch would count as fixed.
    example = torch.from_numpy(np.concatenate([images, images])[:2])
    batch = torch.export.Dim("batch", min=1)
    with _quiet(), torch.no_grad():
        return torch.export.export(
            network, (example,), dynamic_shapes={_INPUT: {0: batch}}, strict=False
        )


def _to_onnx(
    program: Any, images: NDArray[np.uint8], metadata: Mapping[str, Any]
) -> bytes:
    with _quiet():
        exported = torch.onnx.export(
            program,
            input_names=[_INPUT],
            output_names=list(_OUTPUTS),
            dynamo=True,
            verbose=False,
        )
    assert exported is not None
    proto = exported.model_proto
    _name_batch(proto.graph)
    for key, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key = key
        entry.value = (
            value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        )
    return bytes(proto.SerializeToString())


def _name_batch(graph: Any) -> None:
    """Call the one open size what it is; the exporter numbers it."""
    (number,) = {d.dim_param for d in graph.input[0].type.tensor_type.shape.dim[:1]}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == number:
                size.dim_param = "batch"


def _to_archive(program: Any, metadata: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    extra = {"metadata.json": json.dumps(metadata, ensure_ascii=False, allow_nan=False)}
    with _quiet():
        torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()


def _run_onnx(content: bytes, images: NDArray[np.uint8]) -> list[NDArray[Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    return _in_two_batches(
        lambda batch: session.run(list(_OUTPUTS), {_INPUT: batch}), images
    )


def _run_program(content: bytes, images: NDArray[np.uint8]) -> list[NDArray[Any]]:
    with _quiet():
        module = torch.export.load(io.BytesIO(content)).module()

    def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
        with torch.no_grad():
            return [out.numpy() for out in module(torch.from_numpy(batch))]

    return _in_two_batches(run, images)


def _in_two_batches(run: Any, images: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """One image, then all others: two sizes of a batch."""
    parts = [run(part) for part in (images[:1], images[1:]) if len(part)]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _difference(
    found: list[NDArray[Any]], expected: tuple[NDArray[Any], ...], name: str
) -> float:
    pairs = zip(found, expected, strict=True)
    # Not Python's max: it may pass over NaN.
    largest = float(np.max([np.abs(one - other).max() for one, other in pairs]))
    if not largest <= _TOLERANCE:
        raise InputError(
            f"the {name} file disagrees with the model: probabilities or "
            f"unknown scores differ by {largest:.2g}, allowed is {_TOLERANCE:.0e}"
        )
    return largest


def _metadata(classifier: Classifier) -> dict[str, Any]:
    """Collect what a program needs to know around the files."""
    model = classifier.model
    height, width, channels = classifier.image_shape
    preprocessing = model.checkpoint.preprocessing
    resize = preprocessing.resize or height
    return {
        "model": model.name,
        "class_names": classifier.class_names,
        "task_of_class": classifier.task_of_class.tolist(),
        "input": {
            "name": _INPUT,
            "type": "uint8",
            "shape": ["batch", height, width, channels],
            "channels": "grey" if channels == 1 else "RGB",
        },
        "preprocessing": {
            "outside": [
                "upright by the EXIF orientation, transparency on white",
                "grey" if channels == 1 else "RGB",
                f"bicubic, antialiased, short side to {resize} pixels",
                f"central square of {height} pixels",
            ],
            "resize": resize,
            "image_size": height,
            "inside": {
                "mean": list(preprocessing.mean),
                "std": list(preprocessing.std),
                "formula": "(x / 255 - mean) / std",
            },
        },
        "outputs": {
            "probabilities": "of the classes in the order of class_names, calibrated"
            if model.is_calibrated
            else "of the classes in the order of class_names, not calibrated",
            "unknown_score": _score(model),
        },
        "unknown_threshold": model.threshold,
    }


def _score(model: ServedModel) -> str:
    if model.known_embeddings is None or model.bank is None:
        return "energy of the logits"
    of_images = model.bank.num_exemplars > 0
    return f"cosine distance to the nearest {'exemplar' if of_images else 'class mean'}"


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporters warn of what they themselves use."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
