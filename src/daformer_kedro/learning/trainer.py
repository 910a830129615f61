"""One phase of training: the loop over epochs and batches, and its whole state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from daformer_kedro.learning.batches import PhaseBatches
from daformer_kedro.learning.chunks import inference_chunks, training_chunks
from daformer_kedro.learning.compilation import uncompiled
from daformer_kedro.learning.devices import autocast
from daformer_kedro.learning.epoch_totals import EpochTotals
from daformer_kedro.learning.graph import CudaRecorder, GraphedStep, StepInput
from daformer_kedro.learning.optimisation import (
    ConstantSchedule,
    CosineSchedule,
    load_state,
)
from daformer_kedro.learning.phase import PhaseConfig, PhaseInputs
from daformer_kedro.learning.progress import EpochRecord, announce
from daformer_kedro.learning.saving import EVERY_EPOCH, SaveInterval, saving_states
from daformer_kedro.learning.sharpness import Ascent
from daformer_kedro.learning.stopping import Stopping
from daformer_kedro.model import DAFormer, DAFormerOutput
from daformer_kedro.objectives import Batch, Objective
from daformer_kedro.parallel.process_group import Shard


class Trainer:
    """Fits a model to one phase's images.

    Losses stay on the device and are read once per epoch, so that the loop never waits
    for it.

    Args:
        phase: settings.
        model: the network; its ``requires_grad`` flags say what trains.
        inputs: the images, the teacher, the processes, where the state is saved.
        batches: the images as steps take them.
        objective: the loss.
        schedule: sets the learning rate before each epoch, of its optimiser over the
            model's trainable parameters.
        stopping: ends the phase before its last epoch; by default never.
    """

    def __init__(
        self,
        phase: PhaseConfig,
        model: DAFormer,
        inputs: PhaseInputs,
        *,
        batches: PhaseBatches,
        objective: Objective,
        schedule: CosineSchedule | ConstantSchedule,
        stopping: Stopping | None = None,
    ) -> None:
        data, teacher, group = inputs.data, inputs.teacher, inputs.group
        self.phase = phase
        self.model = model
        self.data = data
        self.batches = batches
        self.objective = objective
        self.schedule = schedule
        self.optimiser = schedule.optimiser
        self.group = group
        self.stopping = stopping or Stopping()
        self._state_file = inputs.state
        num_images = min(phase.batch_size, len(data.targets))
        batch_size = num_images // group.shard(num_images).part[1]
        self._chunks = training_chunks(
            model, batch_size, data.device, phase.precision, group.count
        )
        self.teacher = None
        if teacher is not None and objective.uses("teacher"):
            self.teacher = teacher.eval().requires_grad_(False)
            self._teacher_chunks = inference_chunks(
                teacher, batch_size, data.device, phase.precision
            )
        self._follows_rows = objective.uses("neighbourhood")
        self._graphed: GraphedStep | None = None
        if phase.as_graph:
            recorder = CudaRecorder(self.optimiser, batches.generator)
            self._graphed = GraphedStep(recorder)
        self._ascent = Ascent(phase.sharpness.rho, phase.sharpness.adaptive)
        self.history: list[EpochRecord] = []

    def run(self, interval: SaveInterval = EVERY_EPOCH) -> list[EpochRecord]:
        """Train the epochs that are left and return the record of all.

        Args:
            interval: time between two savings; the last epoch is always saved.

        Raises:
            DivergenceError: a loss is not finite at the end of an epoch.
        """
        state = self.group.load(self._state_file)
        if state is not None:
            self.load_state_dict(state)
            for record in self.history:
                announce(record)
        self.model.train()
        with saving_states(self._state_file, interval) as states:
            for epoch in range(len(self.history), self.phase.epochs):
                if self._has_ended():
                    break
                position = self.stopping.begin(epoch, self.phase.epochs)
                record = self._run_epoch(epoch, self.schedule.step(position))
                self.group.check_agreement(self.model)
                with uncompiled(self.model):
                    record = self.stopping.judge(self.model, record)
                self.history.append(record)
                is_last = epoch + 1 == self.phase.epochs or self._has_ended()
                states.epoch_ends(epoch + 1, is_last, self.state_dict)
                announce(record)
        self.stopping.restore_best(self.model)
        self.model.eval()
        return self.history

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the rest of the phase depends on."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            **self.batches.state_dict(),
            "objective": self.objective.state_dict(),
            "history": [vars(record) for record in self.history],
            "stopping": self.stopping.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        load_state(self.optimiser, state["optimiser"])
        self.batches.load_state_dict(state)
        self.objective.load_state_dict(state["objective"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.stopping.load_state_dict(state["stopping"])

    def _has_ended(self) -> bool:
        return bool(self.history) and self.history[-1].ended_by is not None

    def _run_epoch(self, epoch: int, rate: float) -> EpochRecord:
        totals = EpochTotals()
        for given in self.batches.epoch():
            totals.add(self._take_step(given), len(given.rows))
        return totals.record(
            task=self.phase.task,
            phase=self.phase.name,
            epoch=epoch,
            num_epochs=self.phase.epochs,
            learning_rate=rate,
        )

    def _take_step(self, given: StepInput) -> dict[str, Tensor]:
        if self._graphed is None:
            return self._step(given)
        return self._graphed(self._step, given)

    def _step(self, given: StepInput) -> dict[str, Tensor]:
        """Take an optimisation step; return detached loss terms, total and accuracy."""
        rows, images, drawn = given
        mixed = self.batches.mixing(images, self.data.targets[rows], drawn)
        shard = self.group.shard(len(rows))
        with torch.inference_mode(), self._autocast():
            teacher_output = self._teacher_forward(mixed.images, shard)
        student = self._student_forward(mixed.images, shard)
        batch = Batch(
            student=student,
            targets=mixed.targets,
            rows=mixed.main_image(rows) if self._follows_rows else rows,
            sources=mixed.sources(rows),
            own_share=mixed.weight,
            teacher=teacher_output,
            num_old_classes=sum(self.model.task_sizes[:-1]),
            num_old_tasks=self.model.num_tasks - 1,
            kind=self.objective.kind,
        )
        terms = self.objective(batch)
        terms.total.backward()
        shard.sum_gradients(self._trainable())
        if self.phase.sharpness.rho > 0:
            self._sharpness_aware_gradient(mixed.images, batch, shard)
        trainable = self._trainable()
        if self.phase.clip_norm is not None:
            nn.utils.clip_grad_norm_(trainable, self.phase.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.objective.after_step(batch)
        right = student.logits.detach().argmax(1) == mixed.targets.argmax(1)
        measured = {name: value.detach() for name, value in terms.items()}
        measured["total"] = terms.total.detach()
        return {**measured, "accuracy": right.mean(dtype=torch.float32)}

    def _sharpness_aware_gradient(
        self, images: Tensor, batch: Batch, shard: Shard
    ) -> None:
        """Replace the gradients by those at the worst point near the weights."""
        trainable = self._trainable()
        self._ascent.climb(trainable)
        self.optimiser.zero_grad(set_to_none=True)
        terms = self.objective(batch.seen_by(self._student_forward(images, shard)))
        terms.total.backward()
        shard.sum_gradients(trainable)
        self._ascent.return_to_start()

    def _student_forward(self, images: Tensor, shard: Shard) -> DAFormerOutput:
        with self._autocast():
            student = self.model(
                shard.of(images),
                generator=self.batches.generator,
                return_blocks=self.objective.uses("blocks"),
                part=shard.part,
                chunks=self._chunks,
            )
        # Losses in float32: softmax and cross-entropy lose too much in bfloat16.
        return shard.gather(student.float())

    def _teacher_forward(self, images: Tensor, shard: Shard) -> DAFormerOutput | None:
        if self.teacher is None:
            return None
        output = self.teacher(
            shard.of(images),
            return_blocks=self.objective.uses("blocks"),
            chunks=self._teacher_chunks,
        )
        return shard.gather(output.float())

    def _trainable(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.grad is not None]

    def _autocast(self) -> torch.autocast:
        return autocast(self.data.device, self.phase.precision)
