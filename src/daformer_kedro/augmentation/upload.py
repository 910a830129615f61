"""Copies of small tables from the host to the device that images lie on."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(table: Tensor, device: torch.device) -> Tensor:
    """Copy a table to a device; a GPU is not waited for.

    Args:
        table: on the CPU.
        device: where it is needed; the CPU gets the table itself.
    """
    if device.type == "cuda":
        return table.pin_memory().to(device, non_blocking=True)
    return table.to(device)
