"""Totals of an epoch's losses, which stay on the device until it has passed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from daformer_kedro.learning.progress import EpochRecord


class DivergenceError(RuntimeError):
    """The loss is no longer a finite number."""


class EpochTotals:
    """Sums over an epoch's batches; the device is waited for once, at its end."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._num_batches = self._num_images = 0
        self._started = time.perf_counter()

    def add(self, values: Mapping[str, Tensor], num_images: int) -> None:
        """Add a batch's loss terms, ``total`` and ``accuracy``, scalars on the device.

        Every batch has the same ones.
        """
        if not self._sums:
            self._sums = {name: torch.zeros_like(values[name]) for name in values}
        torch._foreach_add_(list(self._sums.values()), list(values.values()))
        self._num_batches += 1
        self._num_images += num_images

    def record(
        self,
        *,
        task: int,
        phase: str,
        epoch: int,
        num_epochs: int,
        learning_rate: float,
    ) -> EpochRecord:
        """Return what the epoch came to: means over its batches.

        Raises:
            RuntimeError: no batch was added.
            DivergenceError: the loss is not finite.
        """
        if not self._sums:
            raise RuntimeError(f"task {task}, epoch {epoch}: no batch was added")
        # The one synchronisation with the device: all sums in one copy.
        sums = torch.stack([value.float() for value in self._sums.values()])
        means = {
            name: value / self._num_batches
            for name, value in zip(self._sums, sums.tolist(), strict=True)
        }
        accuracy = means.pop("accuracy")
        if not all(map(math.isfinite, means.values())):
            raise DivergenceError(
                f"task {task}, {phase} epoch {epoch}: the loss is not finite "
                f"({means}); try a lower learning rate or training.clip_norm"
            )
        return EpochRecord(
            task=task,
            phase=phase,
            epoch=epoch,
            num_epochs=num_epochs,
            learning_rate=learning_rate,
            losses=means,
            train_accuracy=accuracy,
            num_images=self._num_images,
            seconds=time.perf_counter() - self._started,
        )
