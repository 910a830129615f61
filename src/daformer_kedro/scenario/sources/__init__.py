"""Sources of images; :data:`SOURCES` lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles, LeftOut
from daformer_kedro.scenario.images import ImageArrays, Images
from daformer_kedro.scenario.sources.cifar import CIFAR10, CIFAR100
from daformer_kedro.scenario.sources.class_subset import keep_classes, resolve_classes
from daformer_kedro.scenario.sources.continuum_data import CONTINUUM
from daformer_kedro.scenario.sources.digits import DIGITS
from daformer_kedro.scenario.sources.fashion_mnist import FASHION_MNIST
from daformer_kedro.scenario.sources.file_index import index_files
from daformer_kedro.scenario.sources.file_source import FileSource, refuse_stream
from daformer_kedro.scenario.sources.image_folder import IMAGE_FOLDER
from daformer_kedro.scenario.sources.imagenet import IMAGENET100, IMAGENET1000
from daformer_kedro.scenario.sources.source import Source
from daformer_kedro.scenario.sources.validation_share import set_validation_aside

SOURCES: Mapping[str, Source] = {
    "digits": DIGITS,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "fashion_mnist": FASHION_MNIST,
    "continuum": CONTINUUM,
}
"""Small images, which are read into arrays."""

FILE_SOURCES: Mapping[str, FileSource] = {
    "image_folder": IMAGE_FOLDER,
    "imagenet100": IMAGENET100,
    "imagenet1000": IMAGENET1000,
}
"""Images that stay files."""


@dataclass(frozen=True)
class SourceDescription:
    """Metadata of a source that a run needs before it reads images.

    Attributes:
        name: kind of source.
        num_classes: classes in use, after ``source.classes``.
        image_size: side of the square images, in pixels.
        num_channels: channels of an image.
        task_sizes: classes of each task, where the source says so itself.
        has_validation: whether some training images are for validation.
    """

    name: str
    num_classes: int
    image_size: int
    num_channels: int
    task_sizes: tuple[int, ...] | None = None
    has_validation: bool = False


def describe_source(
    config: SourceConfig,
    *,
    image_size: int | None = None,
    stream: tuple[str, ...] | None = None,
    index: Path | None = None,
) -> SourceDescription:
    """Describe a source without its images.

    For images that stay files, their folders must be there, or the index made of them.

    Args:
        config: section ``source`` of the parameters.
        image_size: ``preprocessing.image_size``, for sources of files.
        stream: ``scenario.tasks``, folders that arrive over time.
        index: description of an index made with the same settings, a JSON file.

    Raises:
        InputError: ``source.classes`` names a class twice, an unknown one or none,
            the source is not known, or settings do not fit it.
    """
    if config.name in FILE_SOURCES:
        known = _indexed(config, image_size, stream, index)
        if known is not None:
            return known
        files = FILE_SOURCES[config.name].metadata(config, stream)
        labels = resolve_classes(config.classes, files.class_names, config.name)
        if stream is not None and config.classes is not None:
            raise InputError(
                "source.classes and scenario.tasks: set only one; a stream takes "
                "the classes that its folders hold"
            )
        return SourceDescription(
            name=config.name,
            num_classes=len(labels),
            image_size=_needed(image_size, config),
            num_channels=3,
            task_sizes=files.task_sizes,
            has_validation=files.has_validation
            or config.validation_fraction is not None,
        )
    source = _source_of(config)
    _refuse_file_settings(config, image_size, stream)
    metadata = source.metadata(config)
    labels = resolve_classes(config.classes, metadata.class_names, config.name)
    return SourceDescription(
        name=config.name,
        num_classes=len(labels),
        image_size=metadata.image_size,
        num_channels=metadata.num_channels,
        has_validation=config.validation_fraction is not None,
    )


def _indexed(
    config: SourceConfig,
    image_size: int | None,
    stream: tuple[str, ...] | None,
    index: Path | None,
) -> SourceDescription | None:
    """Describe a source by its index, if its folder is away at the moment."""
    is_away = config.path is not None and not Path(config.path).expanduser().exists()
    if not is_away or index is None or not index.is_file():
        return None
    about = json.loads(index.read_text(encoding="utf-8"))
    sizes = about["task_sizes"]
    if stream is not None and len(sizes or ()) != len(stream):
        return None
    return SourceDescription(
        name=config.name,
        num_classes=len(about["class_names"]),
        image_size=_needed(image_size, config),
        num_channels=3,
        task_sizes=None if sizes is None else tuple(sizes),
        has_validation=about.get("has_validation", False),
    )


def read_source(
    config: SourceConfig,
    *,
    image_size: int | None = None,
    resize: int | None = None,
    stream: tuple[str, ...] | None = None,
    copies: Path | None = None,
) -> Images:
    """Read all images of a source, or list its files, after ``classes``.

    Args:
        config: section ``source`` of the parameters.
        image_size: ``preprocessing.image_size``, for sources of files.
        resize: ``preprocessing.resize``, for these too; ``None`` for ``image_size``.
        stream: ``scenario.tasks``, folders that arrive over time.
        copies: where copies of files lie, for ``source.cache_size``.

    Raises:
        InputError: the settings do not fit the source, or its data is missing,
            damaged or incomplete.
    """
    if config.name in FILE_SOURCES:
        return index_source(
            config, image_size=image_size, resize=resize, stream=stream, copies=copies
        )[0]
    arrays = _source_of(config)
    _refuse_file_settings(config, image_size, stream)
    return set_validation_aside(_read_arrays(arrays, config), config)


def index_source(
    config: SourceConfig,
    *,
    image_size: int | None,
    resize: int | None = None,
    stream: tuple[str, ...] | None = None,
    copies: Path | None = None,
) -> tuple[ImageFiles, LeftOut]:
    """List the files of a source of files, see :func:`read_source`.

    Returns:
        The index, and the files that are not in it.
    """
    size = _needed(image_size, config)
    source = FILE_SOURCES[config.name]
    images, left_out = index_files(source, config, size, resize or size, stream, copies)
    return set_validation_aside(images, config), left_out


def _read_arrays(source: Source, config: SourceConfig) -> ImageArrays:
    class_names = source.metadata(config).class_names
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


def _needed(image_size: int | None, config: SourceConfig) -> int:
    if image_size is None:
        raise InputError(
            f"preprocessing.image_size = null: source {config.name} has images of "
            "many sizes; say which size the network reads, such as 64 or 224"
        )
    return image_size


def _refuse_file_settings(
    config: SourceConfig, image_size: int | None, stream: tuple[str, ...] | None
) -> None:
    if image_size is not None:
        raise InputError(
            f"preprocessing.image_size = {image_size}: images of {config.name} have "
            f"a size of their own; it is for {', '.join(FILE_SOURCES)}"
        )
    if config.cache_size is not None:
        raise InputError(
            f"source.cache_size = {config.cache_size}: images of {config.name} are "
            f"small; it is for {', '.join(FILE_SOURCES)}"
        )
    refuse_stream(config, stream)


def _source_of(config: SourceConfig) -> Source:
    try:
        return SOURCES[config.name]
    except KeyError:
        allowed = ", ".join((*SOURCES, *FILE_SOURCES))
        raise InputError(
            f"source.name = {config.name!r} is not known; allowed: {allowed}"
        ) from None


__all__ = [
    "FILE_SOURCES",
    "SOURCES",
    "ImageFiles",
    "SourceDescription",
    "describe_source",
    "index_source",
    "read_source",
]
