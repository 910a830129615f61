"""Answer of the demo page for one image: all that is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.errors import InputError
from daformer_kedro.model.attention_maps import attention_maps
from daformer_kedro.scenario.prepared_image import (
    PreparedImage,
    ViewSettings,
    prepare_image,
)
from daformer_kedro.serving.classifier import NUM_RANKED, Classifier
from daformer_kedro.serving.demo.pictures import (
    attention_overlay,
    enlarged,
    photograph,
)

_NUM_NEAREST = 5

Prepare = Callable[[bytes, str, ViewSettings], PreparedImage]


@dataclass(frozen=True)
class RankedClass:
    """A class, its calibrated probability and the task in which it was learnt."""

    name: str
    probability: float
    task: int


@dataclass(frozen=True)
class AttentionMap:
    """A picture of where the decoder looks.

    Attributes:
        kind: ``external`` or ``internal``.
        task: whose keys these are; ``None`` where all tasks share them.
        picture: data address.
    """

    kind: str
    task: int | None
    picture: str


@dataclass(frozen=True)
class NearKnown:
    """A remembered image, or a class's mean: its class, row and cosine distance.

    The row of an image has a picture; a class has ``None``.
    """

    name: str
    row: int | None
    distance: float


@dataclass(frozen=True)
class ImageAnswer:
    """An answer, as JSON values when taken apart with ``dataclasses.asdict``.

    Attributes:
        classes: five at most, the likeliest first.
        is_unknown: whether it resembles nothing learnt; ``None`` for a model that has
            neither exemplars nor class means to compare with.
        distance: cosine distance to the nearest of these, ``None`` likewise.
        threshold: distance from which on an image counts as unknown.
        photograph: data address of the upright image; ``None`` where it is not larger
            than what the network reads.
        seen: data address of what the network reads.
        attention: empty for a decoder without dual attention.
        nearest: exemplars, or classes where no image is kept, the nearest first; empty
            for a model that keeps neither.
        truth: the class that the image belongs to, where that is known.
    """

    classes: list[RankedClass]
    is_unknown: bool | None
    distance: float | None
    threshold: float | None
    photograph: str | None
    seen: str
    attention: list[AttentionMap]
    nearest: list[NearKnown]
    truth: str | None = None


def answer_file(
    classifier: Classifier,
    content: bytes,
    name: str,
    prepare: Prepare = prepare_image,
) -> ImageAnswer:
    """Classify an image file.

    Args:
        classifier: the model.
        content: of a file of any format, mode and size.
        name: its name, for messages and for what its ending says of its format.
        prepare: decodes it, here or in another process.

    Raises:
        InputError: the file cannot be read as an image; the message starts with the
            name.
    """
    settings = classifier.view_settings
    image = prepare(content, name, settings)
    picture = None
    if max(image.size) > settings.side:
        small = Image.fromarray(image.small)
        picture = photograph(small, settings.side / settings.resize)
    return _answer(classifier, image.pixels, picture)


def answer_example(classifier: Classifier, row: int) -> ImageAnswer:
    """Classify one of the test images that the model's file holds.

    Raises:
        InputError: there is no such row.
    """
    bank = classifier.model.bank
    if bank is None or row >= len(bank.examples):
        raise InputError(f"example {row}: the model's file has no such test image")
    truth = None
    if len(bank.example_targets):
        truth = classifier.class_names[int(bank.example_targets[row])]
    return _answer(classifier, bank.examples[row].numpy(), truth=truth)


def answer_exemplar(classifier: Classifier, row: int) -> ImageAnswer:
    """Classify an exemplar, enlarged from its thumbnail where that is smaller.

    It is compared with the other exemplars.

    Raises:
        InputError: there is no such row.
    """
    bank = classifier.model.bank
    if bank is None or row >= bank.num_exemplars:
        raise InputError(f"exemplar {row}: the model's file has no such exemplar")
    thumbnail = bank.thumbnails[row].numpy()
    truth = classifier.class_names[int(bank.targets[row])]
    pixels = _resized(thumbnail, classifier.image_shape)
    return _answer(classifier, pixels, truth=truth, left_out=row)


def _answer(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    picture: str | None = None,
    *,
    truth: str | None = None,
    left_out: int | None = None,
) -> ImageAnswer:
    found = classifier.answer(pixels[None])
    row = classifier.table(found).iloc[0]
    classes = [
        RankedClass(
            name=str(row[f"class_{rank}"]),
            probability=float(row[f"probability_{rank}"]),
            task=int(row[f"task_{rank}"]),
        )
        for rank in range(1, min(NUM_RANKED, len(classifier.class_names)) + 1)
    ]
    nearest = _nearest(classifier, found.embeddings, left_out)
    distance = nearest[0].distance if nearest else None
    threshold = None if distance is None else classifier.model.threshold
    return ImageAnswer(
        classes=classes,
        is_unknown=(
            None if distance is None or threshold is None else distance > threshold
        ),
        distance=distance,
        threshold=threshold,
        photograph=picture,
        seen=enlarged(pixels),
        attention=_attention(classifier, pixels, classes[0].task),
        nearest=nearest,
        truth=truth,
    )


def _nearest(
    classifier: Classifier, embeddings: Tensor, left_out: int | None
) -> list[NearKnown]:
    num = _NUM_NEAREST if left_out is None else _NUM_NEAREST + 1
    nearest = classifier.nearest_known(embeddings, num)
    bank = classifier.model.bank
    if nearest is None or bank is None:
        return []
    found = [
        NearKnown(
            name=classifier.class_names[int(bank.targets[row])],
            row=row if bank.num_exemplars else None,
            # Rounding may make the distance to the same image less than 0.
            distance=max(0.0, float(distance)),
        )
        for distance, row in zip(nearest[0][0], nearest[1][0].tolist(), strict=True)
        if row != left_out
    ]
    return found[:_NUM_NEAREST]


def _attention(
    classifier: Classifier, pixels: NDArray[np.uint8], task: int
) -> list[AttentionMap]:
    """Attention with the keys of the likeliest class's task, and with shared keys."""
    network = classifier.network
    device = next(network.parameters()).device
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(device)
    normalised = normalise(image, classifier.model.checkpoint.preprocessing)
    try:
        maps = attention_maps(network, normalised)
    except InputError:  # another decoder
        return []
    found = []
    for kind, values in (("external", maps.external), ("internal", maps.internal)):
        if values is None:
            continue
        is_shared = values.shape[1] == 1 < len(classifier.task_sizes)
        shares = values[0, 0 if is_shared else task].cpu().numpy()
        picture = attention_overlay(pixels, shares)
        found.append(AttentionMap(kind, None if is_shared else task, picture))
    return found


def _resized(
    pixels: NDArray[np.uint8], shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    if pixels.shape == shape:
        return pixels
    image = Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels)
    resized = np.asarray(image.resize(shape[1::-1], Image.Resampling.BICUBIC))
    return resized.reshape(shape)
