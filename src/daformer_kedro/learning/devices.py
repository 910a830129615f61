"""Where to compute and how precisely."""

from __future__ import annotations

import torch

from daformer_kedro.errors import InputError


def resolve_device(device: str) -> torch.device:
    """The device that ``training.device`` means on this machine.

    Raises:
        InputError: a GPU is asked for and there is none, or not that many.
    """
    num_gpus = torch.cuda.device_count()
    if device == "auto":
        return torch.device("cuda" if num_gpus else "cpu")
    resolved = torch.device(device)
    if resolved.type == "cuda" and (resolved.index or 0) >= num_gpus:
        raise InputError(
            f"training.device = {device!r}: this machine has {num_gpus} usable GPUs; "
            "allowed: auto, cpu"
            + "".join(f", cuda:{number}" for number in range(num_gpus))
        )
    return resolved


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """A context that computes in ``precision``; float32 leaves everything as it is."""
    return torch.autocast(
        device.type, dtype=precision, enabled=precision != torch.float32
    )


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type that autocast computes in; float32 means no autocast.

    ``auto`` takes bfloat16 on GPUs that compute it natively, float32 elsewhere: on a
    CPU with bfloat16 instructions (AVX-512) a step took 1.7 times as long with it, see
    docs/results/performance.md.
    """
    if precision == "bfloat16":
        return torch.bfloat16
    if precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32
