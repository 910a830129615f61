"""The form of a decoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks


class Decoder(nn.Module):
    """Map from an image's tokens to one embedding for each task.

    A subclass is one file and a line in ``DECODERS``. It is made for one task from the
    settings, the number of tokens and ``generator``, the source of its weights.

    Attributes:
        has_attention_maps: whether :meth:`attention_weights` returns any.
        reads_mean: whether the mean over the tokens is all that it reads of an image.
    """

    has_attention_maps: ClassVar[bool] = False
    reads_mean: ClassVar[bool] = False

    def __init__(
        self, config: ModelConfig, num_tokens: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Find out whether it can be made, before any image is read.

        Raises:
            InputError: it cannot; names the setting, its value and what is allowed.
        """

    def add_task(self, generator: torch.Generator) -> None:
        """Grow for one more task; what earlier tasks compute must stay, to the bit.

        Args:
            generator: source of the new weights.
        """

    def old_task_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that belong to all tasks but the newest."""
        return []

    def repeated_modules(self) -> list[nn.Module]:
        """Return modules of one code for any number of tasks, for the compiler."""
        return []

    def bytes_per_task(self, num_tokens: int, itemsize: int) -> int:
        """Return the activations of one task for one image, about.

        Args:
            num_tokens: N of the image.
            itemsize: bytes of a number that autocast computes with.
        """
        raise NotImplementedError

    def attention_weights(
        self, x: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None] | None:
        """Return external and internal attention to the tokens, where there are any.

        Args:
            x: (B, N, D) the encoder's output.

        Returns:
            (1 or T, B, H, N, N) and (T, B, H, N, N); ``None`` for what is not there.
        """
        return None

    def forward(
        self,
        x: torch.Tensor,
        keep: torch.Tensor | None = None,
        chunks: TaskChunks = ALL_AT_ONCE,
    ) -> torch.Tensor:
        """Embed the images once for each task.

        Args:
            x: (B, N, D) the encoder's output.
            keep: (2, T, B) factors of the two residuals, or ``None``.
            chunks: how to go through the tasks.

        Returns:
            (T, B, D), or (1, B, D) where nothing depends on the task.
        """
        raise NotImplementedError
