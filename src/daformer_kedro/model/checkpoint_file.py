"""A checkpoint as one safetensors file: data, no code."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from daformer_kedro.errors import InputError
from daformer_kedro.model.checkpoint import Checkpoint

# One entry only: the format does not keep an order, and equal models must give equal
# bytes.
_ENTRY = "daformer"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read weights onto the CPU, and the description.

    Raises:
        InputError: the file is not a complete checkpoint of this project.
    """
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()[_ENTRY])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a complete checkpoint of this project: {error}"
        ) from error
    return Checkpoint(weights, description)


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write weights and description; equal checkpoints give equal bytes."""
    description = json.dumps(checkpoint.description, sort_keys=True, allow_nan=False)
    save_file(dict(checkpoint.weights), path, metadata={_ENTRY: description})
