"""Epochs of a method's own loop, resumed to the bit after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from daformer_kedro.learning.epoch_totals import EpochTotals
from daformer_kedro.learning.progress import EpochRecord, announce
from daformer_kedro.learning.saving import SaveInterval, saving_states
from daformer_kedro.model import DAFormer
from daformer_kedro.storage.state_file import StateFile


class Epoch:
    """One epoch; the loop adds each batch's results, which stay on the device."""

    def __init__(self) -> None:
        self._totals = EpochTotals()

    def add(self, logits: Tensor, targets: Tensor, **terms: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, C).
            targets: (B,) classes.
            terms: the loss by its terms, which are summed.
        """
        total = torch.stack(tuple(terms.values())).sum()
        right = (logits.argmax(1) == targets).float().mean()
        measured = {**terms, "total": total, "accuracy": right}
        self._totals.add(
            {name: value.detach().float() for name, value in measured.items()},
            len(targets),
        )

    def record(
        self, task: int, epoch: int, num_epochs: int, rate: float
    ) -> EpochRecord:
        """Return what the epoch came to, see :meth:`EpochTotals.record`."""
        return self._totals.record(
            task=task,
            phase="train",
            epoch=epoch,
            num_epochs=num_epochs,
            learning_rate=rate,
        )


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
