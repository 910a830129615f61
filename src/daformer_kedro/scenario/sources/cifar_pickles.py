"""CIFAR-10 and CIFAR-100 as first published: pickled dicts of flat pixel rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.restricted_pickle import load_plain_pickle
from daformer_kedro.scenario.sources.source import LabelledImages

_SIZE = 32
_NUM_VALUES = 3 * _SIZE * _SIZE


@dataclass(frozen=True)
class PickleLayout:
    """Names in the published archive.

    Attributes:
        folder: name of the unpacked folder.
        train_files: training files, in order of their rows.
        test_file: the test file.
        label_key: key of the labels in each file's dict.
    """

    folder: str
    train_files: tuple[str, ...]
    test_file: str
    label_key: str


def find_pickle_folder(path: Path, layout: PickleLayout) -> Path | None:
    """Return the folder of the pickles, ``path`` itself or one in it, if it is there.

    One file is enough to recognise it: a missing one is reported on reading.
    """
    for folder in (path, path / layout.folder):
        if any((folder / n).is_file() for n in (*layout.train_files, layout.test_file)):
            return folder
    return None


def read_pickles(
    folder: Path, layout: PickleLayout, num_classes: int, *, with_test: bool = True
) -> tuple[LabelledImages, LabelledImages]:
    """Read training and test set, (N, 32, 32, 3) each.

    Without the test set, whose file is not opened then, training images stand in.

    Raises:
        InputError: a file is missing, is not a plain pickle, or lacks usable images or
            labels.
    """
    files = [folder / name for name in (*layout.train_files, layout.test_file)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{folder}: missing {', '.join(missing)}; the folder must hold "
            f"{', '.join(file.name for file in files)}"
        )
    opened = files if with_test else files[:-1]
    parts = [_read_file(file, layout.label_key, num_classes) for file in opened]
    train = LabelledImages.concatenated(parts[: len(layout.train_files)])
    return train, parts[-1] if with_test else train


def _read_file(file: Path, label_key: str, num_classes: int) -> LabelledImages:
    content = load_plain_pickle(file)
    if not isinstance(content, dict):
        raise InputError(
            f"{file}: holds a {type(content).__name__}; it must be a dict with "
            f"data and {label_key}"
        )
    # Python 2 strings become str, keys that Python 3 wrote as bytes stay bytes.
    fields = {
        k.decode("latin1") if isinstance(k, bytes) else k: content[k] for k in content
    }
    missing = [key for key in ("data", label_key) if key not in fields]
    if missing:
        raise InputError(
            f"{file}: no key {' or '.join(missing)}; keys found: "
            f"{', '.join(sorted(map(str, fields))) or 'none'}"
        )
    images = _images(file, fields["data"])
    return LabelledImages(
        images, _labels(file, label_key, fields[label_key], len(images), num_classes)
    )


def _images(file: Path, data: Any) -> np.ndarray:
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        kind = data.dtype if isinstance(data, np.ndarray) else type(data).__name__
        raise InputError(f"{file}: data is {kind}; it must be a uint8 array")
    if data.ndim != 2 or data.shape[1] != _NUM_VALUES or not len(data):
        raise InputError(
            f"{file}: data has shape {data.shape}; it must be (N, {_NUM_VALUES}), "
            f"{_SIZE} × {_SIZE} RGB images, with at least one"
        )
    # A row holds all red values, then green, then blue.
    planes = data.reshape(-1, 3, _SIZE, _SIZE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _labels(
    file: Path, key: str, values: Any, num_images: int, num_classes: int
) -> np.ndarray:
    try:
        labels = np.asarray(values)
    except ValueError as error:  # lists of unlike lengths
        raise InputError(f"{file}: {key} is not a list of integers: {error}") from error
    if labels.dtype.kind not in "iu" or labels.shape != (num_images,):
        raise InputError(
            f"{file}: {key} must be {num_images} integers, one per image; found "
            f"{labels.dtype} of shape {labels.shape}"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise InputError(
            f"{file}: row {wrong[0]}: label {labels[wrong[0]]} is out of range "
            f"0..{num_classes - 1}"
        )
    return labels.astype(np.int64)
