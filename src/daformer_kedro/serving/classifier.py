"""From images as they are to class names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.learning.extraction import extract
from daformer_kedro.model.checkpoint import Checkpoint


class Classifier:
    """A checkpoint that classifies images.

    Args:
        checkpoint: any number of tasks learnt.
        device: where to compute.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device | str = "cpu"
    ) -> None:
        self._model = checkpoint.build(device)
        self._preprocessing = checkpoint.preprocessing
        self._class_names = np.array(checkpoint.description["class_names"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        side = self._model.image_size
        return side, side, self._model.in_channels

    def classify(
        self, images: NDArray[np.uint8], batch_size: int = 512
    ) -> pd.DataFrame:
        """Name the likeliest class of each image.

        Args:
            images: (N, H, W, C) pixels from 0 to 255, of :attr:`image_shape`.
            batch_size: images a forward pass.

        Returns:
            ``class_name`` and ``probability`` (softmax over all classes), one row an
            image.

        Raises:
            InputError: another shape or type.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            raise InputError(
                f"images of shape {images.shape} and type {images.dtype}: must be "
                f"(N, {', '.join(map(str, self.image_shape))}) and uint8"
            )
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        _, logits = extract(self._model, pixels, self._preprocessing, batch_size)
        probability, chosen = logits.softmax(dim=1).max(dim=1)
        return pd.DataFrame(
            {
                "class_name": self._class_names[chosen.numpy()],
                "probability": probability.numpy(),
            }
        )
