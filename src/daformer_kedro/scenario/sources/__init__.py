"""Sources of images; :data:`SOURCES` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources.cifar import CIFAR10, CIFAR100
from daformer_kedro.scenario.sources.class_subset import keep_classes, resolve_classes
from daformer_kedro.scenario.sources.digits import DIGITS
from daformer_kedro.scenario.sources.source import Source

SOURCES: Mapping[str, Source] = {
    "digits": DIGITS,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
}


@dataclass(frozen=True)
class SourceDescription:
    """What a run needs to know of its source before it reads images.

    Attributes:
        name: kind of source.
        num_classes: classes in use, after ``source.classes``.
        image_size: side of the square images, in pixels.
        num_channels: channels of an image.
    """

    name: str
    num_classes: int
    image_size: int
    num_channels: int


def describe_source(config: SourceConfig) -> SourceDescription:
    """Describe a source without its data.

    Raises:
        InputError: ``source.classes`` names a class twice, an unknown one or none, or
            the source is not known.
    """
    facts = _source_of(config).facts(config)
    labels = resolve_classes(config.classes, facts.class_names, config.name)
    return SourceDescription(
        name=config.name,
        num_classes=len(labels),
        image_size=facts.image_size,
        num_channels=facts.num_channels,
    )


def read_source(config: SourceConfig) -> ImageArrays:
    """Read all images of a source, with labels and class names after ``classes``.

    Raises:
        InputError: the settings do not fit the source, or its data is missing,
            damaged or incomplete.
    """
    source = _source_of(config)
    class_names = source.facts(config).class_names
    labels = resolve_classes(config.classes, class_names, config.name)
    train, test = (keep_classes(part, labels) for part in source.read(config))
    try:
        return ImageArrays(
            train_images=train.images,
            train_labels=train.labels,
            test_images=test.images,
            test_labels=test.labels,
            class_names=tuple(class_names[label] for label in labels),
        )
    except InputError as error:
        where = f" in source.path = {config.path}" if config.path else ""
        raise InputError(f"source {config.name}{where}: {error}") from error


def _source_of(config: SourceConfig) -> Source:
    try:
        return SOURCES[config.name]
    except KeyError:
        raise InputError(
            f"source.name = {config.name!r} is not known; allowed: {', '.join(SOURCES)}"
        ) from None
