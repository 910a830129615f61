"""Files that are in the training and in the test set, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.scenario.sources.file_check import FileEnds


def find_duplicates(
    root: Path,
    train_paths: NDArray[np.str_],
    train_ends: FileEnds,
    test_paths: NDArray[np.str_],
    test_ends: FileEnds,
) -> list[tuple[str, str]]:
    """Return the pairs of a test file and the first training file of its content.

    Only files whose size and last bytes occur in both sets are read whole.
    """
    train_keys, test_keys = _keys(train_ends), _keys(test_ends)
    shared = np.intersect1d(train_keys, test_keys)
    train_rows = np.flatnonzero(np.isin(train_keys, shared))
    first_with: dict[bytes, str] = {}
    for path in train_paths[train_rows].tolist():
        first_with.setdefault(_hash(root / path), path)
    pairs = []
    for path in test_paths[np.flatnonzero(np.isin(test_keys, shared))].tolist():
        twin = first_with.get(_hash(root / path))
        if twin is not None:
            pairs.append((path, twin))
    return pairs


def _keys(ends: FileEnds) -> NDArray[np.uint64]:
    return ends.tail ^ ends.num_bytes.astype(np.uint64)


def _hash(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()
