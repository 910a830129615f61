"""Files of tensors that are stored with a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from daformer_kedro.errors import InputError

T = TypeVar("T")


def read_tensor_file(path: Path, build: Callable[[Mapping[str, Tensor]], T]) -> T:
    """Build something from the tensors of a safetensors file.

    Raises:
        InputError: the file is damaged, or lacks a tensor.
    """
    try:
        return build(load_file(path))
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
