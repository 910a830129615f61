"""Batches of a phase: which images, how they are augmented, where chance comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from daformer_kedro.augmentation.mixing import Mixing
from daformer_kedro.augmentation.tokens import TokensAsTheyAre
from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.learning.class_balance import class_draws
from daformer_kedro.learning.graph import StepInput
from daformer_kedro.learning.phase import PhaseConfig
from daformer_kedro.learning.sampling import epoch_batches
from daformer_kedro.learning.task_images import TaskImages


class PhaseBatches:
    """Batches of one phase's images, epoch by epoch.

    Args:
        phase: settings.
        data: images and targets, on the model's device.
        augmentation: of uint8 images to normalised ones.
        mixing: soft targets, mixup and CutMix.
        generator: source of chance, on the model's device.
        host_generator: source of what the host has to know without asking the device;
            on a CPU the same one by default.
    """

    def __init__(
        self,
        phase: PhaseConfig,
        data: TaskImages,
        *,
        augmentation: Augmentation | TokensAsTheyAre,
        mixing: Mixing,
        generator: torch.Generator,
        host_generator: torch.Generator | None = None,
    ) -> None:
        self.data = data
        self.mixing = mixing
        self.generator = generator
        self._phase = phase
        self._augmentation = augmentation
        self._host_generator = host_generator or generator
        self._draws = class_draws(phase.class_balance, data.targets)

    def epoch(self) -> Iterator[StepInput]:
        """Iterate over the batches of one more epoch, as steps take them."""
        batches = epoch_batches(
            len(self.data.targets),
            self._phase.batch_size,
            self._phase.repeats,
            self.generator,
            self._draws,
            self.data.targets,
        )
        drawn = self.mixing.draw(len(batches), self.data.image_size, self.generator)
        pixels = self.data.batches(batches, self.generator)
        for given in zip(batches, self.augmented(pixels), drawn, strict=True):
            yield StepInput(*given)

    def augmented(self, pixels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Augment batches of pixels, as an epoch does."""
        return self._augmentation.batches(pixels, self.generator, self._host_generator)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the sources of chance."""
        return {
            "generator": self.generator.get_state(),
            "host_generator": self._host_generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of :meth:`state_dict`; other keys are ignored."""
        self.generator.set_state(state["generator"])
        self._host_generator.set_state(state["host_generator"])
