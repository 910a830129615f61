"""Which devices are there, and which are asked for."""

from __future__ import annotations

import pytest
import torch

from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import check_devices, rank_device


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
