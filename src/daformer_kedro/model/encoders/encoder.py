"""The form of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.validation import NoSettings


class Encoder(nn.Module):
    """Map from images to tokens; a subclass is one file and a line in ``ENCODERS``.

    Args:
        config: the ``model`` section of the parameters; its ``embed_dim`` is the width
            D of the tokens.
        image_size: side S of the square images, in pixels.
        in_channels: channels C of the images.
        generator: source of the starting weights.

    Attributes:
        Settings: validated dataclass of ``model.encoder_settings``.
        grid: rows and columns of tokens in the image; N is their product.
        requirements: packages that it needs, besides this project's own.
        origin: source, licence and checksum of pretrained weights, where there are any.
    """

    Settings: ClassVar[type] = NoSettings
    requirements: ClassVar[tuple[str, ...]] = ()
    grid: tuple[int, int]
    origin: dict[str, Any] | None = None

    def __init__(
        self,
        config: ModelConfig,
        *,
        image_size: int,
        in_channels: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()

    @classmethod
    def check(cls, config: ModelConfig, image_size: int) -> None:
        """Find out whether it can be made, before any image is read.

        Args:
            config: the ``model`` section of the parameters.
            image_size: side of the square images, in pixels.

        Raises:
            InputError: it cannot; names the setting, its value and what is allowed.
        """

    @classmethod
    def check_weights(cls, config: ModelConfig) -> None:
        """Find out whether pretrained weights are there, of new models alone.

        Args:
            config: the ``model`` section of the parameters.

        Raises:
            InputError: they are not, as far as that can be told without a network.
        """

    @classmethod
    def defaults(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return parameters that stand in where the given ones are null.

        Args:
            config: the ``model`` section of the parameters, not validated yet.

        Returns:
            Nested parameters, such as ``{"model": {"embed_dim": 1280}}``.
        """
        return {}

    @classmethod
    def num_earlier_blocks(cls, config: ModelConfig) -> int:
        """Return how many outputs of blocks :meth:`forward` returns before the last."""
        return 0

    @classmethod
    def is_fixed(cls, config: ModelConfig) -> bool:
        """Return whether training never changes what :meth:`embed` gives."""
        return False

    def images_at_once(self) -> int | None:
        """Return how many images a CPU takes at a time; ``None`` for no limit."""
        return None

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the tokens (B, N, W) that can be stored where they are fixed.

        :meth:`forward` takes them in the place of images.

        Args:
            images: (B, C, S, S), normalised.
        """
        raise NotImplementedError

    @classmethod
    def weights_file(cls, config: ModelConfig) -> Path | None:
        """Return the local file that weights are read from, if any.

        Results depend on its content.
        """
        return None

    def load_weights(self) -> None:
        """Load pretrained weights where the settings ask for any; of new models alone.

        Raises:
            InputError: they could not be loaded, or do not fit.
        """

    def freeze_pretrained(self) -> None:
        """Freeze what the settings keep as it is, after all was made trainable."""

    def learning_rate_scales(self) -> Mapping[nn.Parameter, float]:
        """Return factors of the learning rate, of the parameters that have another."""
        return {}

    @property
    def num_tokens(self) -> int:
        """Number of tokens N of an image."""
        return self.grid[0] * self.grid[1]

    @property
    def num_blocks(self) -> int:
        """Number of blocks whose residuals stochastic depth may drop."""
        return 0

    def repeated_modules(self) -> list[nn.Module]:
        """Return modules of one code and one shape, for the compiler to share."""
        return []

    def forward(
        self, images: torch.Tensor, keep: Sequence[torch.Tensor | None] | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Return tokens (B, N, D): the output last, those of earlier blocks before it.

        Args:
            images: (B, C, S, S), normalised; or tokens of :meth:`embed`.
            keep: for each of ``num_blocks`` (2, B) factors of its residuals under
                stochastic depth, or ``None`` for none.
        """
        raise NotImplementedError
