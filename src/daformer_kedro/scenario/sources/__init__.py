"""Sources of images; :data:`SOURCES` and :data:`FILE_SOURCES` list them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources.cifar import CIFAR10, CIFAR100
from daformer_kedro.scenario.sources.class_subset import keep_classes, resolve_classes
from daformer_kedro.scenario.sources.continuum_dataset import CONTINUUM
from daformer_kedro.scenario.sources.digits import DIGITS
from daformer_kedro.scenario.sources.fashion_mnist import FASHION_MNIST
from daformer_kedro.scenario.sources.file_source import (
    FileSource,
    make_image_files,
    source_root,
)
from daformer_kedro.scenario.sources.image_folder import IMAGE_FOLDER
from daformer_kedro.scenario.sources.imagenet import IMAGENET100, IMAGENET1000
from daformer_kedro.scenario.sources.source import Source

SOURCES: Mapping[str, Source] = {
    "digits": DIGITS,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "fashion_mnist": FASHION_MNIST,
    "continuum": CONTINUUM,
}
"""Sources that are read as one array."""

FILE_SOURCES: Mapping[str, FileSource] = {
    "imagenet100": IMAGENET100,
    "imagenet1000": IMAGENET1000,
    "image_folder": IMAGE_FOLDER,
}
"""Sources whose images stay files."""


@dataclass(frozen=True)
class SourceDescription:
    """What a run needs to know of its source before it reads images.

    Attributes:
        name: kind of source.
        num_classes: classes in use, after ``source.classes``.
        image_size: side of the square images, in pixels.
        num_channels: channels of an image.
        task_sizes: classes of each task where folders arrive over time, else ``None``.
    """

    name: str
    num_classes: int
    image_size: int
    num_channels: int
    task_sizes: tuple[int, ...] | None = None


def describe_source(
    config: SourceConfig,
    *,
    image_size: int | None = None,
    stream: tuple[str, ...] | None = None,
) -> SourceDescription:
    """Describe a source without its images; an ``image_folder`` must be there.

    Args:
        config: the section ``source``.
        image_size: ``preprocessing.image_size``, for sources whose images stay files.
        stream: ``scenario.tasks``, folders that arrive over time.

    Raises:
        InputError: ``source.classes`` names a class twice, an unknown one or none,
            the source is not known, ``image_size`` is missing or has no use, or the
            folders do not fit.
    """
    if config.name in FILE_SOURCES:
        size = _needed_image_size(config, image_size)
        _check_stream(config, stream)
        facts = FILE_SOURCES[config.name].facts(config, stream)
        labels = resolve_classes(config.classes, facts.class_names, config.name)
        return SourceDescription(config.name, len(labels), size, 3, facts.task_sizes)
    source = _source_of(config)
    _check_array_settings(config, image_size, stream)
    array_facts = source.facts(config)
    labels = resolve_classes(config.classes, array_facts.class_names, config.name)
    return SourceDescription(
        name=config.name,
        num_classes=len(labels),
        image_size=array_facts.image_size,
        num_channels=array_facts.num_channels,
    )


def read_source(
    config: SourceConfig,
    *,
    image_size: int | None = None,
    resize: int | None = None,
    stream: tuple[str, ...] | None = None,
) -> ImageArrays | ImageFiles:
    """Read a source, with labels and class names after ``classes``.

    Args:
        config: the section ``source``.
        image_size: ``preprocessing.image_size``, for sources whose images stay files.
        resize: short side of a test image before the centre is cut out, ``None`` for
            ``image_size``; for such sources too.
        stream: ``scenario.tasks``, folders that arrive over time.

    Returns:
        All images as arrays, or an index where they stay files.

    Raises:
        InputError: the settings do not fit the source, or its data is missing,
            damaged or incomplete.
    """
    if config.name in FILE_SOURCES:
        size = _needed_image_size(config, image_size)
        return _read_files(config, size, size if resize is None else resize, stream)
    source = _source_of(config)
    _check_array_settings(config, image_size, stream)
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
        raise _located(config, error) from error


def _read_files(
    config: SourceConfig, image_size: int, resize: int, stream: tuple[str, ...] | None
) -> ImageFiles:
    _check_stream(config, stream)
    source = FILE_SOURCES[config.name]
    all_names = source.facts(config, stream).class_names
    labels = resolve_classes(config.classes, all_names, config.name)
    class_names = tuple(all_names[label] for label in labels)
    train, test = source.list_files(config, stream, class_names)
    try:
        return make_image_files(
            source_root(config),
            train,
            test,
            class_names,
            image_size=image_size,
            resize=resize,
            on_error=config.on_error,
        )
    except InputError as error:
        raise _located(config, error) from error


def _located(config: SourceConfig, error: InputError) -> InputError:
    where = f" in source.path = {config.path}" if config.path else ""
    return InputError(f"source {config.name}{where}: {error}")


def _needed_image_size(config: SourceConfig, image_size: int | None) -> int:
    if image_size is None:
        raise InputError(
            f"preprocessing.image_size is not set; images of source {config.name} are "
            "of all sizes, so it must say what the network sees, such as 224"
        )
    return image_size


def _check_stream(config: SourceConfig, stream: tuple[str, ...] | None) -> None:
    if stream is None:
        return
    if config.name != "image_folder":
        raise InputError(
            f"scenario.tasks is for source.name = image_folder; it is {config.name}"
        )
    if config.classes is not None:
        raise InputError(
            "source.classes and scenario.tasks: give one of them; classes that are "
            "not to be learned are left out of scenario.tasks' folders"
        )


def _check_array_settings(
    config: SourceConfig, image_size: int | None, stream: tuple[str, ...] | None
) -> None:
    _check_stream(config, stream)
    if image_size is not None:
        raise InputError(
            f"preprocessing.image_size = {image_size} has no use for source "
            f"{config.name}, whose images are all of one size; leave it out"
        )


def _source_of(config: SourceConfig) -> Source:
    try:
        return SOURCES[config.name]
    except KeyError:
        raise InputError(
            f"source.name = {config.name!r} is not known; allowed: "
            f"{', '.join([*SOURCES, *FILE_SOURCES])}"
        ) from None
