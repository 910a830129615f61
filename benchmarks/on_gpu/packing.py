"""CIFAR-100 as lossless WebP: 100 MB, in folders of which each may travel by itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.class_order import resolve_class_order
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources import read_source

NUM_TASKS, CLASSES_PER_TASK = 10, 10
_SIZE = 32


@dataclass(frozen=True)
class PackedImages:
    """CIFAR-100, as far as its tasks were found.

    Attributes:
        images: arrays; the images of absent tasks are black.
        class_order: labels in order of arrival.
        tasks: numbers of the tasks that are there.
    """

    images: ImageArrays
    class_order: tuple[int, ...]
    tasks: tuple[int, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in order of arrival."""
        return tuple(self.images.class_names[label] for label in self.class_order)

    def samples(self) -> pd.DataFrame:
        """Return split, index, target and task of every sample."""
        target_of = np.argsort(self.class_order)
        labels = {"train": self.images.train_labels, "test": self.images.test_labels}
        tables = []
        for split, of_split in labels.items():
            targets = target_of[of_split]
            columns = {"split": split, "sample_index": np.arange(len(targets))}
            columns |= {"target": targets, "task": targets // CLASSES_PER_TASK}
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)


def pack(source: Path, folders: Sequence[Path], say: Callable[..., None]) -> None:
    """Write one archive for each task, the same number to each folder.

    Args:
        source: CIFAR-100 in any layout that ``source.path`` may have.
        folders: where to write.
        say: called with what was written.
    """
    read = read_source(SourceConfig(name="cifar100", path=str(source)))
    if not isinstance(read, ImageArrays):
        raise InputError(f"{source} holds no arrays of images")
    order = resolve_class_order(1, source_name="cifar100", num_classes=100, seed=0)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / "index.npz",
            order=np.array(order),
            names=np.array(read.class_names),
            train_labels=read.train_labels.astype(np.uint8),
            test_labels=read.test_labels.astype(np.uint8),
        )
    tasks_a_folder = -(-NUM_TASKS // len(folders))
    for task in range(NUM_TASKS):
        path = folders[task // tasks_a_folder] / f"task_{task:02d}.zip"
        labels = order[CLASSES_PER_TASK * task : CLASSES_PER_TASK * (task + 1)]
        _pack_task(read, labels, path)
        say(path, f"{path.stat().st_size / 1e6:.1f} MB")


def _pack_task(images: ImageArrays, labels: Sequence[int], path: Path) -> None:
    splits = {
        "train": (images.train_images, images.train_labels),
        "test": (images.test_images, images.test_labels),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for label in labels:
            for split, (pixels, of_split) in splits.items():
                column = pixels[of_split == label].reshape(-1, _SIZE, 3)
                archive.writestr(f"{split}_{label}.webp", _encoded(column))


def _encoded(column: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    # Method 6 and quality 100 save 3 % and take fifty times as long.
    options = {"lossless": True, "quality": 75, "method": 4, "exact": True}
    Image.fromarray(column).save(buffer, "WEBP", **options)
    if not (_decoded(buffer.getvalue()) == column).all():
        raise ValueError("WebP did not keep the pixels as they are")
    return buffer.getvalue()


def _decoded(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def unpack(folders: Sequence[Path]) -> PackedImages:
    """Read all archives of some folders.

    Raises:
        InputError: none of the folders holds packed images.
    """
    indices = [folder / "index.npz" for folder in folders]
    indices = [path for path in indices if path.exists()]
    if not indices:
        shown = ", ".join(map(str, folders))
        raise InputError(f"--data {shown}: no packed images there; make them by pack")
    with np.load(indices[0]) as index:
        order = tuple(int(label) for label in index["order"])
        names = tuple(str(name) for name in index["names"])
        labels = {
            split: index[f"{split}_labels"].astype(np.int64)
            for split in ("train", "test")
        }
    pixels = {
        split: np.zeros((len(of_split), _SIZE, _SIZE, 3), np.uint8)
        for split, of_split in labels.items()
    }

    def read(path: Path) -> int:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                split, label = name.removesuffix(".webp").split("_")
                column = _decoded(archive.read(name)).reshape(-1, _SIZE, _SIZE, 3)
                pixels[split][labels[split] == int(label)] = column
        return int(path.stem.removeprefix("task_"))

    archives = [path for folder in folders for path in folder.glob("task_*.zip")]
    with ThreadPoolExecutor(8) as pool:
        tasks = sorted(pool.map(read, archives))
    images = ImageArrays(
        pixels["train"], labels["train"], pixels["test"], labels["test"], names
    )
    return PackedImages(images, order, tuple(tasks))
