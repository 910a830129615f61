"""Interface of a source of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_tree import LabelledPaths


@dataclass(frozen=True)
class FileMetadata:
    """Class names and task sizes, as the names of folders give them.

    Attributes:
        class_names: names of all classes, in label order.
        task_sizes: classes of each folder of a stream; ``None`` without one.
        has_validation: whether there is a folder of validation images.
    """

    class_names: tuple[str, ...]
    task_sizes: tuple[int, ...] | None = None
    has_validation: bool = False


class FileListing(NamedTuple):
    """Training and test images, and how many files of other suffixes lie there.

    Attributes:
        train: images to train on.
        test: images to test on.
        passed_over: files of other suffixes.
        validation: images to make choices by, of some classes or none.
    """

    train: LabelledPaths
    test: LabelledPaths
    passed_over: Counter[str]
    validation: LabelledPaths | None = None


class FileSource(Protocol):
    """A kind of source whose images stay files."""

    def metadata(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileMetadata:
        """Return what is known without listing files.

        Raises:
            InputError: folders are missing or do not fit.
        """

    def list_files(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileListing:
        """List training and test images; labels as in ``metadata``.

        Where results are of validation images (``config.on_validation``), test images
        are not looked up, and there are none.

        Raises:
            InputError: folders are missing, empty or do not fit.
        """


def refuse_stream(config: SourceConfig, stream: Sequence[str] | None) -> None:
    """Refuse folders that arrive over time, for sources that have none.

    Raises:
        InputError: ``scenario.tasks`` is set.
    """
    if stream is not None:
        raise InputError(
            f"scenario.tasks = {list(stream)}: only source image_folder has folders "
            f"that arrive over time, not {config.name}"
        )


def folder_of(config: SourceConfig) -> Path:
    """Return the folder that ``source.path`` names, absolute.

    Raises:
        InputError: it is not set, or there is no such folder.
    """
    if config.path is None:
        raise InputError(
            f"source.path = null: source {config.name} needs the folder of its images"
        )
    path = Path(config.path).expanduser().resolve()
    if not path.is_dir():
        raise InputError(f"source.path = {config.path}: is not a folder")
    return path
