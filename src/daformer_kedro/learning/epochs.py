"""Epochs of a method's own loop, resumed to the bit after an interruption."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from daformer_kedro.learning.progress import EpochRecord, announce
from daformer_kedro.learning.saving import SaveInterval, saving_states
from daformer_kedro.learning.trainer import DivergenceError
from daformer_kedro.model import DAFormer
from daformer_kedro.storage.state_file import StateFile


class Epoch:
    """One epoch; the loop adds each batch's results, which stay on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._num_batches = self._num_images = 0
        self._started = time.perf_counter()

    def add(self, logits: Tensor, targets: Tensor, **terms: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, C).
            targets: (B,) classes.
            terms: the loss by its terms, which are summed.
        """
        total = torch.stack(tuple(terms.values())).sum()
        right = (logits.argmax(1) == targets).float().mean()
        for name, value in {**terms, "total": total, "accuracy": right}.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._num_batches += 1
        self._num_images += len(targets)

    def record(
        self, task: int, epoch: int, num_epochs: int, rate: float
    ) -> EpochRecord:
        """Return what the epoch came to.

        Raises:
            RuntimeError: no batch was added.
            DivergenceError: the loss is not finite.
        """
        if not self._sums:
            raise RuntimeError(f"task {task}, epoch {epoch}: no batch was added")
        values = torch.stack(tuple(self._sums.values())).tolist()
        means = {
            name: value / self._num_batches
            for name, value in zip(self._sums, values, strict=True)
        }
        accuracy = means.pop("accuracy")
        record = EpochRecord(
            task=task,
            phase="train",
            epoch=epoch,
            num_epochs=num_epochs,
            learning_rate=rate,
            losses=means,
            train_accuracy=accuracy,
            num_images=self._num_images,
            seconds=time.perf_counter() - self._started,
        )
        if not torch.tensor(list(means.values())).isfinite().all():
            raise DivergenceError(
                f"task {task}, train epoch {epoch}: the loss is not finite ({means}); "
                "try a lower learning rate"
            )
        return record


def resumable_epochs(
    num_epochs: int,
    model: DAFormer,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    *,
    history: list[EpochRecord],
    state: StateFile | None,
    interval: SaveInterval,
) -> Iterator[Epoch]:
    """Yield the epochs that are left, and save and announce each once it has passed.

    Args:
        num_epochs: epochs in all.
        model: in training mode inside an epoch, in evaluation mode after the last.
        optimiser: of the loop.
        generator: source of all its chance.
        history: gets the record of every epoch, those before an interruption too.
        state: file to resume from, and to save to.
        interval: time between two savings; the last epoch is always saved.

    Raises:
        DivergenceError: a loss is not finite at the end of an epoch.
    """
    saved = None if state is None else state.load()
    if saved is not None:
        _restore(saved, model, optimiser, generator)
        history += (EpochRecord(**record) for record in saved["history"])
        for record in history:
            announce(record)
    with saving_states(state, interval) as states:
        for number in range(len(history), num_epochs):
            model.train()
            epoch = Epoch()
            yield epoch
            rate = optimiser.param_groups[0]["lr"]
            record = epoch.record(model.num_tasks - 1, number, num_epochs, rate)
            history.append(record)
            states.epoch_ends(
                len(history),
                len(history) == num_epochs,
                lambda: _state(model, optimiser, generator, history),
            )
            announce(record)
    model.eval()


def _state(
    model: DAFormer,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    history: list[EpochRecord],
) -> dict[str, Any]:
    return {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "history": [vars(record) for record in history],
    }


def _restore(
    saved: dict[str, Any],
    model: DAFormer,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    generator.set_state(saved["generator"])
