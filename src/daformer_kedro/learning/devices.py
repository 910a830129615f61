"""Devices and precisions to compute with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from daformer_kedro.errors import InputError

_CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16")
_WIDE = 256  # 192 is a little slower in bfloat16 than in float32, 288 a fifth faster


def resolve_device(device: str, name: str = "training.device") -> torch.device:
    """The device that a setting means on this machine.

    From then on products of float32 factors are those of float32, on GPUs too, where
    cuDNN rounds the factors of convolutions to TF32 unless told otherwise.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
        name: of the setting, for errors.

    Raises:
        InputError: it is not a device, or there are fewer GPUs.
    """
    _set_tf32(False)
    num_gpus = torch.cuda.device_count()
    if device == "auto":
        return torch.device("cuda" if num_gpus else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise InputError(
            f"{name} = {device!r} is not a device: allowed are auto, cpu, cuda, cuda:N"
        ) from error
    if resolved.type == "cuda" and (resolved.index or 0) >= num_gpus:
        raise InputError(
            f"{name} = {device!r}: this machine has {num_gpus} usable GPUs; "
            "allowed: auto, cpu"
            + "".join(f", cuda:{number}" for number in range(num_gpus))
        )
    return resolved


def _set_tf32(is_on: bool) -> None:
    # By the older settings: exports ask for them, and may not where the newer ones
    # were set.
    torch.backends.cuda.matmul.allow_tf32 = is_on
    torch.backends.cudnn.allow_tf32 = is_on


@contextmanager
def rounding_to_tf32(is_on: bool) -> Iterator[None]:
    """Round the factors of float32 products to TF32 inside the block, or do not."""
    _set_tf32(is_on)
    try:
        yield
    finally:
        _set_tf32(False)


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """A context that computes in ``precision``; float32 leaves everything as it is."""
    return torch.autocast(
        device.type, dtype=precision, enabled=precision != torch.float32
    )


def check_devices(device: str, num_devices: int) -> None:
    """Make sure that this machine has ``training.devices``.

    Args:
        device: ``training.device``.
        num_devices: ranks on this machine, each with a device of its own.

    Raises:
        InputError: there are fewer GPUs, or one certain GPU is asked for.
    """
    is_gpu = resolve_device(device).type == "cuda"
    if num_devices == 1 or not is_gpu:
        return
    if ":" in device:
        raise InputError(
            f"training.device = {device!r} and training.devices = {num_devices}: ranks "
            "take the machine's GPUs in order; allowed for training.device: auto, "
            "cuda, cpu"
        )
    num_gpus = torch.cuda.device_count()
    if num_devices > num_gpus:
        allowed = "1" if num_gpus == 1 else f"1 to {num_gpus}"
        raise InputError(
            f"training.devices = {num_devices}: this machine has {num_gpus} usable "
            f"GPUs; allowed: {allowed}, or any number with training.device=cpu"
        )


def rank_device(device: str, gpu: int) -> torch.device:
    """The device of one rank.

    Args:
        device: ``training.device``.
        gpu: which of the GPUs that this process sees is its own.
    """
    resolved = resolve_device(device)
    if resolved.type == "cpu":
        return resolved
    own = torch.device("cuda", gpu)
    torch.cuda.set_device(own)
    return own


def resolve_precision(
    precision: str, device: torch.device, embed_dim: int
) -> torch.dtype:
    """The type that autocast computes in; float32 means no autocast.

    ``auto`` takes bfloat16 where the device has instructions for it: on GPUs always, on
    CPUs for networks that are wide enough to gain from it, see
    docs/results/performance.md.

    Args:
        precision: ``training.precision``.
        device: where to compute.
        embed_dim: width of the network.

    Raises:
        InputError: the device has no such precision.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InputError(
            f"training.precision = 'tf32' is there on GPUs alone, and training runs on "
            f"{device}; allowed: auto, float32, bfloat16"
        )
    if precision == "bfloat16" or (precision == "auto" and _gains(device, embed_dim)):
        return torch.bfloat16
    return torch.float32


def describe_precision(precision: str, device: torch.device, embed_dim: int) -> str:
    """Name what training computes in, such as ``bfloat16, TF32 off`` on a GPU.

    Args:
        precision: ``training.precision``.
        device: where to compute.
        embed_dim: width of the network.
    """
    kind = str(resolve_precision(precision, device, embed_dim)).removeprefix("torch.")
    if device.type != "cuda":
        return kind
    return f"{kind}, TF32 {'on' if precision == 'tf32' else 'off'}"


def _gains(device: torch.device, embed_dim: int) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if embed_dim < _WIDE:
        return False
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in _CPU_BFLOAT16)
