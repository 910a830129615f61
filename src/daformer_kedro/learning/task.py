"""A task as a method's own way of learning is given it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from daformer_kedro.learning.class_balance import class_draws
from daformer_kedro.learning.distributed.launch import run_phase
from daformer_kedro.learning.epochs import Epoch, resumable_epochs
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.phase_setup import make_augmentation
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.sampling import epoch_batches
from daformer_kedro.learning.saving import SaveInterval
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.storage.state_file import StateFile


@dataclass(frozen=True, eq=False)
class LearningTask:
    """Material to learn a task from, and ways to go through it.

    Attributes:
        model: grown for the task, on its device; to be changed in place.
        teacher: the model before the task, in evaluation mode; ``None`` in the first.
        data: the new classes' images and the memory's, with their targets.
        is_exemplar: (N,) bool, which of them are the memory's.
        settings: the sections of the parameters that training reads.
        neighbourhood: ``features`` (N, E) of the images under the teacher, and
            ``neighbours`` (N, K) among them; ``None`` in the first task.
        validation: images to end :meth:`train` by, where the settings ask for it.
        before: what :meth:`~daformer_kedro.methods.method.Method.learn` returned in the
            task before; ``None`` in the first.
        state: file of :meth:`train` and :meth:`epochs`, to resume from.
        history: records of the epochs that passed.
    """

    model: DAFormer
    teacher: DAFormer | None
    data: TaskImages
    is_exemplar: Tensor
    settings: LearningSettings
    neighbourhood: Mapping[str, Tensor] | None = None
    validation: TaskImages | None = None
    before: Mapping[str, Tensor] | None = None
    state: StateFile | None = None
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Number of the task, from 0."""
        return self.model.num_tasks - 1

    def generator(self, purpose: str = "train") -> torch.Generator:
        """Make a source of chance on the model's device, of its own for a purpose."""
        seed, device = self.settings.seed, self.data.device
        return make_generator(seed, self.number, purpose, device)

    def train(self) -> None:
        """Train as DAFormer does, by the losses and all other settings."""
        self._begin()
        self.history.extend(
            run_phase(
                train_task,
                self.model,
                self.data,
                self.settings,
                teacher=self.teacher,
                state=self.state,
                validation=self.validation,
                **(self.neighbourhood or {}),
            )
        )

    def epochs(
        self,
        num_epochs: int,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> Iterator[Epoch]:
        """Yield the epochs of a loop of one's own, those that are left of it.

        Weights, optimiser and generator are saved as often as DAFormer's training saves
        its state, and restored after an interruption. So the result is the same to the
        bit where the loop keeps nothing else from one epoch to the next.

        Args:
            num_epochs: epochs in all.
            optimiser: of the loop.
            generator: source of all its chance.
        """
        self._begin()
        training = self.settings.training
        return resumable_epochs(
            num_epochs,
            self.model,
            optimiser,
            generator,
            history=self.history,
            state=self.state,
            interval=SaveInterval(training.save_every, training.save_minutes),
        )

    def batches(
        self, batch_size: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one epoch's images, shuffled and augmented, with their targets.

        Classes are drawn as ``training.class_balance`` says.

        Args:
            batch_size: images of each batch; an incomplete last one is left out.
            generator: source of the order and of the augmentation.

        Yields:
            What the model takes, (B, C, H, W) normalised or (B, N, W) embedded before,
            and (B,) int64.
        """
        targets = self.data.targets
        draws = class_draws(self.settings.training.class_balance, targets)
        rows = epoch_batches(len(targets), batch_size, 1, generator, draws, targets)
        augmentation = make_augmentation(self.data, self.settings)
        pixels = self.data.batches(rows, generator)
        for chosen, images in zip(
            rows, augmentation.batches(pixels, generator), strict=True
        ):
            yield images, targets[chosen]

    def features(self) -> Tensor:
        """Embed the images as they are by the model so far: (N, E), on the CPU."""
        images = self.data.images
        if self.data.is_embedded and isinstance(images, Tensor) and images.ndim == 4:
            images = images[:, 0]  # the first of several stored versions
        return extract(self.model, images, self.settings.preprocessing)[0]

    def _begin(self) -> None:
        """Make sure that one loop alone uses the file of the state."""
        if self.history:
            raise RuntimeError(
                "a task is learnt by train() or in epochs(), once: both save their "
                "state to the same file"
            )
