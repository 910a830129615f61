"""Which devices are there, and which are asked for."""

from __future__ import annotations

import pytest
import torch

from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import (
    check_devices,
    describe_precision,
    rank_device,
    resolve_device,
    resolve_precision,
    rounding_to_tf32,
)


@pytest.fixture
def num_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("num_gpus")
@pytest.mark.parametrize(
    ("device", "num_devices", "message"),
    [
        ("auto", 3, r"devices = 3: this machine has 2 usable GPUs; allowed: 1 to 2"),
        ("cuda", 9, r"devices = 9: .*or any number with training\.device=cpu"),
        ("cuda:1", 2, r"device = 'cuda:1' and training\.devices = 2.*auto, cuda, cpu"),
    ],
)
def test_more_devices_than_there_are_is_refused(
    device: str, num_devices: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_devices(device, num_devices)


@pytest.mark.usefixtures("num_gpus")
@pytest.mark.parametrize(
    ("device", "num_devices"), [("auto", 2), ("cuda", 1), ("cuda:1", 1), ("cpu", 5)]
)
def test_what_is_there_is_allowed(device: str, num_devices: int) -> None:
    check_devices(device, num_devices)


def test_ranks_on_a_cpu_have_no_device_of_their_own() -> None:
    assert rank_device("cpu", 1) == torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "embed_dim", "expected"),
    [
        ({"avx512_bf16": True}, 384, torch.bfloat16),
        ({"avx512_bf16": True}, 96, torch.float32),
        ({"avx512_bf16": False, "amx_bf16": True}, 384, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False}, 384, torch.float32),
        ({}, 384, torch.float32),
    ],
)
def test_auto_takes_bfloat16_on_cpus_where_it_gains(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: dict[str, bool],
    embed_dim: int,
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu, embed_dim) == expected
    assert resolve_precision("float32", cpu, embed_dim) == torch.float32
    assert resolve_precision("bfloat16", cpu, embed_dim) == torch.bfloat16


def tf32() -> list[bool]:
    return [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]


def test_float32_means_float32_unless_tf32_is_asked_for() -> None:
    torch.backends.cudnn.allow_tf32 = True  # as PyTorch begins
    resolve_device("cpu")
    assert tf32() == [False, False]
    with rounding_to_tf32(True):
        assert tf32() == [True, True]
    assert tf32() == [False, False]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("auto", "bfloat16, TF32 off"),
        ("float32", "float32, TF32 off"),
        ("tf32", "float32, TF32 on"),
    ],
)
def test_the_precision_of_a_gpu_is_said(
    monkeypatch: pytest.MonkeyPatch, precision: str, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert describe_precision(precision, torch.device("cuda"), 96) == expected


def test_a_cpu_has_no_tf32() -> None:
    cpu = torch.device("cpu")
    assert describe_precision("float32", cpu, 96) == "float32"
    message = r"training\.precision = 'tf32' .* runs on cpu; allowed: auto, float32, bf"
    with pytest.raises(InputError, match=message):
        resolve_precision("tf32", cpu, 96)
