"""Pickles of plain data: numbers, strings, containers and NumPy arrays, no code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from daformer_kedro.errors import InputError

# The two functions that NumPy's arrays name in their pickles, asked of an array
# itself since they have no public name.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_FROM_BUFFER = np.empty(1).__reduce_ex__(5)[0]


def _latin1_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


_ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    # Python 3 writes bytes these two ways in protocols below 3.
    ("_codecs", "encode"): _latin1_bytes,
    ("__builtin__", "bytes"): _empty_bytes,
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Admit array reconstruction alone; every other name is refused."""
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no data set needs"
            ) from None


def load_plain_pickle(path: Path) -> Any:
    """Load a pickle that holds plain data and NumPy arrays; it cannot run code.

    Strings of Python 2 pickles are read as Latin-1.

    Raises:
        InputError: the file cannot be read, is not a pickle, is cut off, or asks for
            anything but plain data.
    """
    try:
        with path.open("rb") as file:
            return _RestrictedUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except Exception as error:  # damaged pickles raise nearly anything
        raise InputError(f"{path}: not a usable pickle: {error}") from error
