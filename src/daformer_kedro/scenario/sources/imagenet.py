"""ImageNet's ILSVRC 2012 (Russakovsky et al. 2015) and its subset of 100 classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.file_listing import list_images
from daformer_kedro.scenario.sources.file_source import (
    FileFacts,
    ListedFiles,
    join_classes,
    source_root,
)
from daformer_kedro.scenario.sources.imagenet_labels import read_validation_labels


@dataclass(frozen=True)
class ImageNet:
    """``train/<WordNet id>/*`` with ``val/<WordNet id>/*`` or a flat ``val/``.

    Attributes:
        name: name of the source.
    """

    name: str

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """WordNet ids of the classes, in label order (rising)."""
        folder = files("daformer_kedro.scenario") / "class_names"
        return tuple(json.loads((folder / f"{self.name}.json").read_text("utf-8")))

    def facts(self, config: SourceConfig, stream: tuple[str, ...] | None) -> FileFacts:
        """Return the WordNet ids, which are the same wherever the images lie."""
        return FileFacts(self.class_names)

    def list_files(
        self,
        config: SourceConfig,
        stream: tuple[str, ...] | None,
        class_names: Sequence[str],
    ) -> tuple[ListedFiles, ListedFiles]:
        """List the files of some classes; other folders are not looked into.

        Raises:
            InputError: a folder or label is missing.
        """
        root = source_root(config)
        for split in ("train", "val"):
            if not (root / split).is_dir():
                raise InputError(
                    f"source.path: {root} has no folder {split}; {self.name} needs "
                    "train/<WordNet id>/*.JPEG and val/<WordNet id>/*.JPEG, or val/"
                    "*.JPEG with a file of labels"
                )
        train = join_classes([list_images(root, f"train/{n}") for n in class_names])
        if any((root / "val" / name).is_dir() for name in class_names):
            test = [list_images(root, f"val/{name}") for name in class_names]
        else:
            test = _list_flat(root, class_names)
        return train, join_classes(test)


def _list_flat(root: Path, class_names: Sequence[str]) -> list[NDArray[np.str_]]:
    """List the files of a ``val`` without folders, class by class."""
    paths = list_images(root, "val").tolist()
    labels_file, wnids = read_validation_labels(root)
    of_class: dict[str, list[str]] = {name: [] for name in class_names}
    for path in paths:
        stem = Path(path).stem
        if stem not in wnids:
            raise InputError(f"{labels_file}: has no label for {root / path}")
        if wnids[stem] in of_class:
            of_class[wnids[stem]].append(path)
    absent = [name for name, found in of_class.items() if not found]
    if absent:
        raise InputError(
            f"{root / 'val'}: no image of {absent[0]} ({len(absent)} classes have "
            f"none), going by {labels_file}"
        )
    return [np.array(found) for found in of_class.values()]


IMAGENET100 = ImageNet("imagenet100")
IMAGENET1000 = ImageNet("imagenet1000")
