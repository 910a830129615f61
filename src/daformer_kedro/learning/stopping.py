"""The end of a training before its last epoch: by validation accuracy, or in time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal

from torch import Tensor

from daformer_kedro.config import PreprocessingConfig
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.model import DAFormer
from daformer_kedro.parallel.process_group import SINGLE_PROCESS, ProcessGroup

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Validation:
    """Images that no task trains on, to measure a model by while it trains.

    Attributes:
        data: of all classes seen so far.
        preprocessing: their normalisation.
    """

    data: TaskImages
    preprocessing: PreprocessingConfig

    def accuracy(self, model: DAFormer) -> float:
        """Return the share of the images that a model classifies rightly."""
        _, logits = extract(model, self.data.images, self.preprocessing)
        right = logits.argmax(dim=1) == self.data.targets.cpu()
        return int(right.sum()) / len(right)


class Stopping:
    """Decides after each epoch whether a phase ends, and with which weights.

    With ``patience``, the weights of the epoch of the highest validation accuracy are
    kept, the first of equal ones, and restored at the end. With ``max_minutes``, no
    epoch is begun that would not end in time, going by the one before, and the learning
    rate follows the time used where that is further than the epochs, so that a training
    that is cut has come to the end of its schedule (Li et al., "Budgeted Training",
    ICLR 2020). The first epoch is always trained.

    Args:
        patience: epochs without a higher validation accuracy that end the phase.
        max_minutes: time for the phase, all its attempts together.
        validation: needed for ``patience``.
        group: the processes that train together; the first one's clock counts.
    """

    def __init__(
        self,
        patience: int | None = None,
        max_minutes: float | None = None,
        validation: Validation | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.patience = patience
        self.max_seconds = None if max_minutes is None else 60 * max_minutes
        self.validation = validation
        self.group = group
        self._seconds = 0.0  # used until the epoch that is under way
        self._begun = 0.0
        self._best: dict[str, Tensor] | None = None
        self._best_accuracy = -1.0
        self._best_epoch = -1

    def begin(self, epoch: int, num_epochs: int) -> float:
        """Start the clock of an epoch, and return its place in the schedule.

        Args:
            epoch: number of the epoch, from 0.
            num_epochs: epochs of the phase.
        """
        self._begun = perf_counter()
        if self.max_seconds is None:
            return epoch
        return max(epoch, num_epochs * min(1.0, self._seconds / self.max_seconds))

    def judge(self, model: DAFormer, record: EpochRecord) -> EpochRecord:
        """Return the record of an epoch with its validation accuracy and what it ends.

        Args:
            model: after the epoch.
            record: of the epoch.
        """
        if self.patience is None and self.max_seconds is None:
            return record
        accuracy = None
        if self.patience is not None and self.validation is not None:
            accuracy = self.group.broadcast(self.validation.accuracy(model))
            if accuracy > self._best_accuracy:
                self._best_accuracy, self._best_epoch = accuracy, record.epoch
                self._best = {n: w.clone() for n, w in model.state_dict().items()}
        spent = self.group.broadcast(perf_counter() - self._begun)
        self._seconds += spent
        judged = replace(record, validation_accuracy=accuracy)
        is_last = record.epoch + 1 == record.num_epochs
        ended_by = None if is_last else self._reason(record.epoch, spent)
        if ended_by is not None:
            self._log(ended_by, record)
        return replace(judged, ended_by=ended_by)

    def restore_best(self, model: DAFormer) -> None:
        """Give a model the weights of the best epoch."""
        if self._best is not None:
            model.load_state_dict(self._best)

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {
            "seconds": self._seconds,
            "best": self._best,
            "best_accuracy": self._best_accuracy,
            "best_epoch": self._best_epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of :meth:`state_dict`."""
        self._seconds = state["seconds"]
        self._best = state["best"]
        self._best_accuracy = state["best_accuracy"]
        self._best_epoch = state["best_epoch"]

    def _reason(self, epoch: int, spent: float) -> Literal["patience", "time"] | None:
        if self.patience is not None and epoch - self._best_epoch >= self.patience:
            return "patience"
        if self.max_seconds is not None and self._seconds + spent > self.max_seconds:
            return "time"
        return None

    def _log(self, ended_by: Literal["patience", "time"], record: EpochRecord) -> None:
        phase = f"task {record.task} {record.phase}"
        trained = f"ended after {record.epoch + 1} of {record.num_epochs} epochs"
        if ended_by == "time":
            minutes = (self.max_seconds or 0) / 60
            why = f"training.max_minutes = {minutes:g} leaves no time for another one"
        else:
            why = (
                f"validation accuracy has not risen for {self.patience} "
                f"(training.patience); kept is epoch {self._best_epoch + 1} with "
                f"{self._best_accuracy:.1%}"
            )
        _LOGGER.warning("%s %s: %s", phase, trained, why)
