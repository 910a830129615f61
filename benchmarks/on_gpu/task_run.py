"""One task of a run that stops in time: train, select, finetune, evaluate."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from daformer_kedro.config.run import Config
from daformer_kedro.evaluation.metrics import evaluate_predictions
from daformer_kedro.evaluation.predictions import prediction_table
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.growth import expand_model
from daformer_kedro.learning.memory import update_memory
from daformer_kedro.learning.progress import EpochRecord, history_table
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.checkpoint_file import read_checkpoint, write_checkpoint
from daformer_kedro.scenario.samples import assemble_task_data, samples_of_task
from daformer_kedro.storage.atomic_files import replace_atomically, temporary_sibling
from daformer_kedro.storage.state_file import StateFile
from on_gpu.packing import CLASSES_PER_TASK, PackedImages
from on_gpu.recipe import learning_settings
from on_gpu.report import Report


class OutOfTimeError(Exception):
    """The time is over, and the state of the training is stored."""


class UntilTimeIsOver:
    """Stands for ``SaveInterval``: saves when time runs out, and ends the training."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._has_ended = False

    def is_over(self, num_epochs: int, seconds: float) -> bool:
        """Return whether time has run out."""
        self._has_ended = self._report.left() < 0
        return self._has_ended

    def on_epoch(self, record: EpochRecord) -> None:
        """End the training, of which the state is being saved.

        Raises:
            OutOfTimeError: time has run out.
        """
        if self._has_ended:
            raise OutOfTimeError


@dataclass(frozen=True)
class Stored:
    """The files of one task."""

    folder: Path
    task: int

    def path(self, kind: str) -> Path:
        """Return where one of them lies."""
        return self.folder / f"task_{self.task:02d}_{kind}"

    @property
    def is_finished(self) -> bool:
        """Return whether the task need not be run again."""
        return self.path("metrics.json").exists()

    def save(self, checkpoint: Checkpoint, kind: str) -> None:
        """Write a model, whole or not at all."""
        with temporary_sibling(self.path(kind)) as written:
            write_checkpoint(checkpoint, written)
            replace_atomically(written, self.path(kind))

    def load(self, kind: str) -> Checkpoint:
        """Read a model."""
        return read_checkpoint(self.path(kind))


class TaskRun:
    """The package's own functions in the order of a task's pipeline.

    Args:
        config: validated settings.
        data: the images.
        samples: of all tasks: split, index, target and task.
        device: where to compute.
        folder: where results and unfinished states lie.
        report: keeps the time.
        compile_finetuning: whether finetuning, which is short, is worth compiling.
    """

    def __init__(
        self,
        config: Config,
        data: PackedImages,
        samples: pd.DataFrame,
        *,
        device: str,
        folder: Path,
        report: Report,
        compile_finetuning: bool = True,
    ) -> None:
        self.config = config
        self.data = data
        self.samples = samples
        self.device = torch.device(device)
        self.folder = folder
        self.report = report
        self.settings = learning_settings(config)
        self.finetuning_settings = self.settings
        if not compile_finetuning:
            eager = replace(config.training, compile="off")
            self.finetuning_settings = replace(self.settings, training=eager)
        self._seconds: dict[str, float] = {}

    def run(
        self, task: int, previous: Checkpoint | None, exemplars: pd.DataFrame | None
    ) -> tuple[Checkpoint, pd.DataFrame, dict[str, Any]]:
        """Return model, memory and metrics after a task, and store them.

        Raises:
            OutOfTimeError: the state is stored; the same call resumes.
        """
        stored, self._seconds = Stored(self.folder, task), {}
        own = samples_of_task(self.samples, task)
        data = assemble_task_data(own, exemplars)
        with self._lap("train"):
            trained = self._trained(stored, data, previous)
        with self._lap("select"):
            exemplars = self._selected(task, trained, data, exemplars)
        with self._lap("finetune"):
            final = self._finetuned(stored, trained, exemplars)
        with self._lap("evaluate"):
            metrics = self._evaluated(task, final, own[own["split"] == "test"])
        metrics["seconds"] = self._seconds
        exemplars.to_csv(stored.path("exemplars.csv"), index=False)
        stored.save(final, "model")
        stored.path("metrics.json").write_text(
            json.dumps(metrics, default=float), encoding="utf-8"
        )
        for leftover in ("train.state", "finetune.state", "trained"):
            stored.path(leftover).unlink(missing_ok=True)
        return final, exemplars, metrics

    @contextmanager
    def _lap(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - started

    def _trained(
        self, stored: Stored, data: pd.DataFrame, previous: Checkpoint | None
    ) -> Checkpoint:
        if stored.path("trained").exists():
            return stored.load("trained")
        student = expand_model(
            previous,
            self.config.model,
            image_size=self.data.images.image_size,
            in_channels=self.data.images.num_channels,
            num_new_classes=CLASSES_PER_TASK,
            seed=self.config.seed,
            divergence=self.config.losses.divergence.weight > 0,
        ).to(self.device)
        records = train_task(
            student,
            self._images(data),
            self.settings,
            teacher=None if previous is None else previous.build(self.device),
            state=StateFile(stored.path("train.state"), "gpu"),
        )
        history_table(records).to_csv(stored.path("history.csv"), index=False)
        trained = self._checkpoint(student)
        stored.save(trained, "trained")
        return trained

    def _selected(
        self,
        task: int,
        trained: Checkpoint,
        data: pd.DataFrame,
        exemplars: pd.DataFrame | None,
    ) -> pd.DataFrame:
        candidates = data[~data["is_exemplar"]]
        features, _ = self._extracted(trained, "train", candidates["sample_index"])
        return update_memory(
            exemplars,
            candidates,
            features,
            self.config.memory.exemplars_per_class(CLASSES_PER_TASK * (task + 1)),
            self.config.memory.selection,
            make_generator(self.config.seed, task, "selection"),
        )

    def _finetuned(
        self, stored: Stored, trained: Checkpoint, exemplars: pd.DataFrame
    ) -> Checkpoint:
        if stored.task == 0 or self.config.finetuning.epochs == 0:
            return trained
        model = trained.build(self.device)
        model.remove_divergence_head()
        finetune_on_memory(
            model,
            self._images(exemplars),
            self.finetuning_settings,
            self.config.finetuning,
            state=StateFile(stored.path("finetune.state"), "gpu"),
        )
        return self._checkpoint(model)

    def _evaluated(
        self, task: int, final: Checkpoint, seen: pd.DataFrame
    ) -> dict[str, Any]:
        _, logits = self._extracted(final, "test", seen["sample_index"])
        table = prediction_table(logits, seen)
        return evaluate_predictions(table, task, CLASSES_PER_TASK * (task + 1))

    def _extracted(
        self, checkpoint: Checkpoint, split: str, rows: pd.Series
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return extract(
            checkpoint.build(self.device),
            self._pixels(split, rows),
            self.config.preprocessing,
            self.config.evaluation.batch_size,
        )

    def _pixels(self, split: str, rows: pd.Series) -> torch.Tensor:
        pixels = torch.from_numpy(self.data.images.view(split, rows))
        return pixels.permute(0, 3, 1, 2).contiguous()

    def _images(self, rows: pd.DataFrame) -> TaskImages:
        targets = torch.from_numpy(rows["target"].to_numpy(copy=True))
        pixels = self._pixels("train", rows["sample_index"])
        return TaskImages(pixels.to(self.device), targets.to(self.device))

    def _checkpoint(self, model: DAFormer) -> Checkpoint:
        return Checkpoint.of(
            model,
            preprocessing=self.config.preprocessing,
            class_names=self.data.class_names[: model.num_classes],
        )
