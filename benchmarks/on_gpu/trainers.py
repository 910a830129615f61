"""The published recipe's training loop, ready for single steps; as a CUDA graph too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from daformer_kedro.learning import training
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.trainer import (
    Trainer,
)
from daformer_kedro.learning.training import LearningSettings, train_task
from daformer_kedro.model import DAFormer


def ready_to_step(
    model: DAFormer,
    data: TaskImages,
    settings: LearningSettings,
    teacher: DAFormer | None,
    kind: type[Trainer] = Trainer,
) -> Trainer:
    """Return the loop that ``train_task`` makes of these, before its first epoch."""
    made: list[Trainer] = []

    class NotRun(kind):  # type: ignore[valid-type, misc]
        def run(self, *_: Any) -> list[EpochRecord]:
            made.append(self)
            return []

    with mock.patch.object(training, "Trainer", NotRun):
        train_task(model, data, settings, teacher=teacher)
    model.train()
    return made[0]


class GraphedTrainer(Trainer):
    """A candidate: the whole optimisation step is one CUDA graph.

    Batches that are not whole, and all on a CPU, take the ordinary step.
    """

    WARM_UP = 3  # ordinary steps, on a side stream

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._num_taken = 0
        device = self.data.device
        on_gpu = device.type == "cuda"
        self._side = torch.cuda.Stream(device) if on_gpu else None
        groups = self.optimiser.param_groups
        self._rates = [torch.zeros((), device=device) for _ in groups]
        for group in groups:
            group["capturable"] = on_gpu

    def set_rates(self, rates: Sequence[float]) -> None:
        """Give each parameter group its rate, as a tensor that the graph reads."""
        groups = self.optimiser.param_groups
        for tensor, group, rate in zip(self._rates, groups, rates, strict=True):
            tensor.fill_(rate)
            group["lr"] = tensor

    def _run_epoch(self, epoch: int) -> EpochRecord:
        groups = self.optimiser.param_groups
        rates = [float(group["lr"]) for group in groups]
        self.set_rates(rates)
        record = super()._run_epoch(epoch)
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate  # what is saved and scheduled are plain numbers
        return replace(record, learning_rate=rates[0])

    def _step(self, rows: Tensor, images: Tensor) -> dict[str, Tensor]:
        if len(rows) != self.phase.batch_size or self._side is None:
            return super()._step(rows, images)
        if self._num_taken < self.WARM_UP:
            self._num_taken += 1
            self._side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._side):
                result = super()._step(rows, images)
            torch.cuda.current_stream().wait_stream(self._side)
            return result
        if self._graph is None:
            self._graph = self._capture(rows, images)
        self._rows.copy_(rows)
        self._images.copy_(images)
        self._graph.replay()
        # The next replay writes to the same places.
        return {name: value.clone() for name, value in self._result.items()}

    def _capture(self, rows: Tensor, images: Tensor) -> torch.cuda.CUDAGraph:
        self._rows, self._images = rows.clone(), images.clone()
        self.optimiser.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self._result = super()._step(self._rows, self._images)
        return graph
