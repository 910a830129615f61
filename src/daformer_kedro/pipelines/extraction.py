"""Extraction of features and logits from stored images by a stored model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.config import EvaluationConfig, PreprocessingConfig
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.task_images import select_images
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images


@dataclass(frozen=True, eq=False)
class Extractor:
    """A checkpoint's network on its device, with what running it on images takes.

    Attributes:
        model: the network.
        preprocessing: normalisation.
        batch_size: largest number of images at a time.
    """

    model: DAFormer
    preprocessing: PreprocessingConfig
    batch_size: int

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, evaluation: EvaluationConfig, device: str
    ) -> Extractor:
        """Build the network.

        Args:
            checkpoint: of any task.
            evaluation: the section of the parameters.
            device: ``training.device``.
        """
        model = checkpoint.build(resolve_device(device))
        return cls(model, checkpoint.preprocessing, evaluation.batch_size)

    def extract(
        self,
        images: Images | EmbeddedImages,
        split: Literal["train", "test"],
        sample_index: pd.Series,
    ) -> tuple[Tensor, Tensor]:
        """Return embeddings and logits of some images of a split.

        See :func:`~daformer_kedro.learning.extraction.extract`.
        """
        chosen = select_images(images, split, sample_index)
        return extract(self.model, chosen, self.preprocessing, self.batch_size)

    def extract_views(
        self, images: Images | EmbeddedImages, sample_index: pd.Series
    ) -> list[Tensor]:
        """Return embeddings (N, E) of training images, and of each stored version."""
        chosen = select_images(images, "train", sample_index, all_views=True)
        versions: list[Any] = [chosen]
        if isinstance(chosen, Tensor) and chosen.is_floating_point():
            versions = list(chosen.unbind(1)) if chosen.ndim == 4 else [chosen]
        return [
            extract(self.model, version, self.preprocessing, self.batch_size)[0]
            for version in versions
        ]


def targets_of(samples: pd.DataFrame) -> Tensor:
    """Return the targets of some samples, (N,) int64."""
    return torch.from_numpy(samples["target"].to_numpy(copy=True)).long()
