"""The exemplar bank: embeddings of exemplars, or of classes, to compare images with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.evaluation.thinning import evenly_spaced
from daformer_kedro.serving.tensor_file import read_tensor_file

MOST_PER_CLASS = 50
_MOST_EXAMPLES = 16
_THUMBNAIL_SIDE = 48


@dataclass(frozen=True, eq=False)
class ExemplarBank:
    """Embeddings and thumbnails of exemplars, and a few test images to try out.

    A method that keeps no image may have the mean embedding of each class instead.

    Attributes:
        embeddings: (M, E) of exemplars or classes, float16; M is 0 without either.
        targets: (M,) their classes, as positions in the class order.
        thumbnails: (M, S, S, C) uint8, S at most 48 pixels; none of classes.
        examples: (K, H, W, C) uint8, test images as the network reads them.
        example_targets: (K,) their classes; empty in files of earlier versions.
    """

    embeddings: Tensor
    targets: Tensor
    thumbnails: Tensor
    examples: Tensor
    example_targets: Tensor = field(
        default_factory=lambda: torch.empty(0, dtype=torch.long)
    )

    @property
    def num_exemplars(self) -> int:
        """Number of exemplars: M, or 0 where embeddings are those of classes."""
        return len(self.thumbnails)

    @classmethod
    def of(
        cls,
        embeddings: Tensor,
        targets: Tensor,
        pixels: Tensor,
        examples: Tensor,
        example_targets: Tensor,
    ) -> ExemplarBank:
        """Build a bank.

        Args:
            embeddings: (M, E).
            targets: (M,).
            pixels: (M, H, W, C) uint8, or none of classes.
            examples: (K, H, W, C) uint8.
            example_targets: (K,).
        """
        return cls(
            embeddings.half(),
            targets.long(),
            _shrunk(pixels),
            examples,
            example_targets.long(),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, to be stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ExemplarBank:
        """Read what :meth:`tensors` returned."""
        stored = {
            name: tensors[name]
            for name in (field.name for field in fields(cls))
            if name in tensors or name != "example_targets"
        }
        return cls(**stored)

    @classmethod
    def read(cls, path: Path) -> ExemplarBank:
        """Read a safetensors file.

        Raises:
            InputError: it is damaged.
        """
        return read_tensor_file(path, cls.from_tensors)


def best_exemplars(exemplars: pd.DataFrame) -> pd.DataFrame:
    """Return the first 50 exemplars of each class: all images would be too many."""
    return exemplars[exemplars["rank"] < MOST_PER_CLASS].reset_index(drop=True)


def choose_examples(tests: pd.DataFrame) -> pd.DataFrame:
    """Choose test images to try a model on, equally many of each class, by class.

    Args:
        tests: rows with ``target``.

    Returns:
        At most 16 rows. Of more classes than that, 16 are taken, evenly spread over the
        class order, so that every part of it is there.
    """
    classes = np.unique(tests["target"])
    spread = evenly_spaced(len(classes), _MOST_EXAMPLES)
    chosen = tests[tests["target"].isin(classes[spread])]
    per_class = _MOST_EXAMPLES // max(1, len(spread))
    return (
        chosen.groupby("target", sort=True)
        .head(per_class)
        .sort_values("target", kind="stable")
        .reset_index(drop=True)
    )


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
