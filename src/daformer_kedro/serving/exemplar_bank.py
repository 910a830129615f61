"""The exemplar bank: embeddings of exemplars, to compare other images with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.errors import InputError

MOST_PER_CLASS = 50
_THUMBNAIL_SIDE = 48


@dataclass(frozen=True, eq=False)
class ExemplarBank:
    """Embeddings and thumbnails of exemplars, and a few test images to try out.

    Attributes:
        embeddings: (M, E) of exemplars, float16; M is 0 without a memory.
        targets: (M,) their classes, as positions in the class order.
        thumbnails: (M, S, S, C) uint8, S at most 48 pixels.
        examples: (K, H, W, C) uint8, test images as the network reads them.
    """

    embeddings: Tensor
    targets: Tensor
    thumbnails: Tensor
    examples: Tensor

    @property
    def num_exemplars(self) -> int:
        """Number M of exemplars."""
        return len(self.targets)

    @classmethod
    def of(
        cls, embeddings: Tensor, targets: Tensor, pixels: Tensor, examples: Tensor
    ) -> ExemplarBank:
        """Build a bank.

        Args:
            embeddings: (M, E).
            targets: (M,).
            pixels: (M, H, W, C) uint8.
            examples: (K, H, W, C) uint8.
        """
        return cls(embeddings.half(), targets.long(), _shrunk(pixels), examples)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, to be stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ExemplarBank:
        """Read what :meth:`tensors` returned."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})

    @classmethod
    def read(cls, path: Path) -> ExemplarBank:
        """Read a safetensors file.

        Raises:
            InputError: it is damaged.
        """
        try:
            return cls.from_tensors(load_file(path))
        except (OSError, KeyError, SafetensorError) as error:
            raise InputError(f"{path} is damaged: {error}") from error


def best_exemplars(exemplars: pd.DataFrame) -> pd.DataFrame:
    """Return the first 50 exemplars of each class: all images would be too many."""
    return exemplars[exemplars["rank"] < MOST_PER_CLASS].reset_index(drop=True)


def _shrunk(pixels: Tensor) -> Tensor:
    if not len(pixels) or pixels.shape[1] <= _THUMBNAIL_SIDE:
        return pixels.contiguous()
    sides = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    small = [
        F.interpolate(
            chunk.permute(0, 3, 1, 2).float(),
            size=sides,
            mode="bilinear",
            antialias=True,
        )
        for chunk in pixels.split(256)
    ]
    levels = torch.cat(small).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
