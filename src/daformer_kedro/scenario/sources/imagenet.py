"""ImageNet as it is unpacked: ``train/<wnid>/*.JPEG`` and ``val``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.packaged import packaged_list
from daformer_kedro.scenario.sources.class_tree import (
    LabelledPaths,
    list_images,
    list_split,
)
from daformer_kedro.scenario.sources.file_source import (
    FileListing,
    FileMetadata,
    folder_of,
    refuse_stream,
)
from daformer_kedro.scenario.sources.imagenet_labels import read_validation_labels


@dataclass(frozen=True)
class ImageNet:
    """Classes are WordNet ids; labels go by their order.

    ``val`` has one folder per class like ``train``, or is flat next to a file of
    labels: see :func:`read_validation_labels`.

    Attributes:
        num_classes: how many there must be.
        wnids: the classes in use, in label order; ``None`` for all.
    """

    licence: ClassVar[str] = (
        "ImageNet: for non-commercial research and education, by its terms of access. "
        "The images belong to their owners."
    )
    num_classes: int
    wnids: tuple[str, ...] | None = None

    def metadata(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileMetadata:
        """Return the WordNet ids, from the folders' names."""
        refuse_stream(config, stream)
        return FileMetadata(self._classes(folder_of(config)))

    def list_files(
        self, config: SourceConfig, stream: Sequence[str] | None
    ) -> FileListing:
        """List training images, and those of ``val`` to test with."""
        root = folder_of(config)
        names = self._classes(root)
        if not (root / "val").is_dir():
            raise InputError(f"{root}: no folder val, whose images are the test set")
        train, passed_over = list_split(root, "train", names)
        if config.on_validation:
            return FileListing(train, LabelledPaths.none(), passed_over)
        has_folders = any((root / "val" / name).is_dir() for name in names)
        listed = list_split if has_folders else _list_flat
        test, more = listed(root, "val", names)
        return FileListing(train, test, passed_over + more)

    def _classes(self, root: Path) -> tuple[str, ...]:
        if not (root / "train").is_dir():
            raise InputError(f"{root}: no folder train with one folder per WordNet id")
        found = {e.name for e in (root / "train").iterdir() if e.is_dir()}
        if self.wnids is not None:
            missing = [name for name in self.wnids if name not in found]
            if missing:
                raise InputError(
                    f"{root / 'train'}: {len(missing)} of the {self.num_classes} "
                    f"WordNet ids are missing: {', '.join(missing[:5])}"
                )
            return self.wnids
        names = tuple(sorted(name for name in found if not name.startswith(".")))
        if len(names) != self.num_classes:
            raise InputError(
                f"{root / 'train'}: holds {len(names)} class folders; it must be "
                f"{self.num_classes}. For other images: source.name=image_folder"
            )
        return names


def _list_flat(
    root: Path, split: str, names: Sequence[str]
) -> tuple[LabelledPaths, Counter[str]]:
    """List a flat folder with a file of labels."""
    labels_of = {name: label for label, name in enumerate(names)}
    table, wnid_of = read_validation_labels(root)
    rows: list[tuple[int, str]] = []
    found = list_images(root / split)
    for file in found.images:
        wnid = wnid_of.get(Path(file).stem)
        if wnid is None:
            raise InputError(f"{table}: has no label for {split}/{file}")
        if wnid in labels_of:
            rows.append((labels_of[wnid], f"{split}/{file}"))
    absent = sorted(set(range(len(names))) - {label for label, _ in rows})
    if absent:
        raise InputError(
            f"{root / split}: has no image of {len(absent)} classes, going by "
            f"{table.name}: {', '.join(names[label] for label in absent[:5])}"
        )
    rows.sort()
    images = LabelledPaths(
        np.array([path for _, path in rows], np.str_),
        np.array([label for label, _ in rows], np.int64),
    )
    return images, found.passed_over


IMAGENET1000 = ImageNet(1000)
IMAGENET100 = ImageNet(100, packaged_list("class_names", "imagenet100_wnids"))
