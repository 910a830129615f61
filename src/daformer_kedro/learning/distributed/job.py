"""One phase of training as files: what ranks need to run it, and what comes back."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    PreprocessingConfig,
    TrainingConfig,
    validated,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.storage.atomic_files import replace_atomically, temporary_sibling
from daformer_kedro.storage.state_file import StateFile

PhaseFunction = Callable[..., list[EpochRecord]]
PHASES: Mapping[str, PhaseFunction] = {
    phase.__name__: phase for phase in (train_task, finetune_on_memory)
}
_SECTIONS: Mapping[str, type] = {
    "training": TrainingConfig,
    "losses": LossesConfig,
    "augmentation": AugmentationConfig,
    "preprocessing": PreprocessingConfig,
}
_JOB, _IMAGES, _RESULT = "job.pt", "images.npy", "result.pt"
_WANTED, _MESSAGES = "wanted", "messages.jsonl"


@dataclass(frozen=True)
class Job:
    """One phase, ready to run on any rank; the images lie apart.

    Attributes:
        phase: a name of :data:`PHASES`.
        model: weights and description of the network to train.
        settings: what both phases read.
        targets: (N,) int64.
        state_path: file of the state to resume from, and to save to.
        state_key: what the training depends on.
        teacher: the model before the task.
        tensors: further arguments of the phase, by name.
        finetuning: of balanced finetuning.
        files: of images that stay files, what finds them; every machine reads them at
            the same place.
        validation: further images, to measure the model by.
    """

    phase: str
    model: Checkpoint
    settings: LearningSettings
    targets: Tensor
    state_path: Path
    state_key: str
    teacher: Checkpoint | None
    tensors: Mapping[str, Tensor]
    finetuning: FinetuningConfig | None
    files: Mapping[str, Any] | None = None
    validation: TaskImages | None = None

    @classmethod
    def of(
        cls,
        phase: PhaseFunction,
        model: DAFormer,
        data: TaskImages,
        settings: LearningSettings,
        state: StateFile,
        *,
        teacher: DAFormer | None = None,
        finetuning: FinetuningConfig | None = None,
        **options: TaskImages | Tensor | None,
    ) -> Job:
        """The call of a phase, taken apart."""
        validation = options.pop("validation", None)
        return cls(
            phase=phase.__name__,
            model=_taken_apart(model, settings),
            settings=settings,
            targets=data.targets.cpu(),
            state_path=state.path.absolute(),
            state_key=state.key,
            teacher=None if teacher is None else _taken_apart(teacher, settings),
            tensors={n: t.cpu() for n, t in options.items() if isinstance(t, Tensor)},
            finetuning=finetuning,
            files=data.images.to_plain()
            if isinstance(data.images, FileImages)
            else None,
            validation=validation if isinstance(validation, TaskImages) else None,
        )

    def to_bytes(self) -> bytes:
        """Data and no code, which ``weights_only=True`` reads."""
        sections = {name: asdict(getattr(self.settings, name)) for name in _SECTIONS}
        finetuning = None if self.finetuning is None else asdict(self.finetuning)
        validation = self.validation
        buffer = io.BytesIO()
        plain = {
            "phase": self.phase,
            "model": vars(self.model),
            "settings": sections,
            "seed": self.settings.seed,
            "targets": self.targets,
            "state_path": str(self.state_path),
            "state_key": self.state_key,
            "teacher": None if self.teacher is None else vars(self.teacher),
            "tensors": dict(self.tensors),
            "finetuning": finetuning,
            "files": self.files,
            "validation": None if validation is None else validation.to_plain(),
        }
        torch.save(plain, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> Job:
        """Read what :meth:`to_bytes` wrote."""
        plain = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        sections: dict[str, Any] = {
            name: validated(section, plain["settings"][name], name)
            for name, section in _SECTIONS.items()
        }
        teacher, finetuning = plain["teacher"], plain["finetuning"]
        return cls(
            phase=plain["phase"],
            model=Checkpoint(**plain["model"]),
            settings=LearningSettings(seed=plain["seed"], **sections),
            targets=plain["targets"],
            state_path=Path(plain["state_path"]),
            state_key=plain["state_key"],
            teacher=None if teacher is None else Checkpoint(**teacher),
            tensors=plain["tensors"],
            finetuning=None
            if finetuning is None
            else validated(FinetuningConfig, finetuning, "finetuning"),
            files=plain["files"],
            validation=None
            if plain["validation"] is None
            else TaskImages.from_plain(plain["validation"]),
        )


class JobFolder:
    """The files of one job: what the ranks read, and what they write.

    Args:
        path: the folder; all processes of one machine see the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, job: Job, images: Tensor | FileImages) -> None:
        """Store a job and its images, (N, C, H, W) uint8, if they are not files."""
        (self.path / _JOB).write_bytes(job.to_bytes())
        if isinstance(images, Tensor):
            np.save(self.images_path, images.cpu().numpy())
        (self.path / _WANTED).touch()

    def end(self) -> None:
        """Tell the ranks to end."""
        (self.path / _WANTED).unlink(missing_ok=True)

    @property
    def is_wanted(self) -> bool:
        """Return whether ranks are to work on the job."""
        return (self.path / _WANTED).exists()

    @property
    def messages_path(self) -> Path:
        """Return the file of the ranks' messages."""
        return self.path / _MESSAGES

    def read_bytes(self) -> bytes:
        """The job without its images."""
        return (self.path / _JOB).read_bytes()

    @property
    def images_path(self) -> Path:
        """The images' file, which ranks map into memory and share."""
        return self.path / _IMAGES

    def log_path(self, rank: int) -> Path:
        """The file of what a rank prints."""
        return self.path / f"rank_{rank}.log"

    def write_result(self, model: DAFormer, records: list[EpochRecord]) -> None:
        """Store the weights and the history, whole or not at all."""
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        history = [vars(record) for record in records]
        with temporary_sibling(self.path / _RESULT) as written:
            torch.save({"weights": weights, "history": history}, written)
            replace_atomically(written, self.path / _RESULT)

    def read_result(self) -> tuple[dict[str, Tensor], list[EpochRecord]] | None:
        """Weights and history; ``None`` if no rank came to the end."""
        path = self.path / _RESULT
        if not path.exists():
            return None
        result = torch.load(path, map_location="cpu", weights_only=True)
        history = [EpochRecord(**record) for record in result["history"]]
        return result["weights"], history


def _taken_apart(model: DAFormer, settings: LearningSettings) -> Checkpoint:
    return Checkpoint.of(model, preprocessing=settings.preprocessing, class_names=())
