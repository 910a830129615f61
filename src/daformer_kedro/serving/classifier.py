"""Classifier: images to class names, probabilities and out-of-distribution scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.out_of_distribution import (
    distance_to_bank,
    energy,
    nearest_in_bank,
)
from daformer_kedro.learning.extraction import extract
from daformer_kedro.scenario.prepared_image import ViewSettings, network_view
from daformer_kedro.serving.served_model import ServedModel

NUM_RANKED = 5
COLUMNS = (
    *(
        f"{what}_{rank}"
        for rank in range(1, NUM_RANKED + 1)
        for what in ("class", "probability", "task")
    ),
    "unknown_score",
    "is_unknown",
)
"""Columns of a table of answers, the likeliest class first."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a model for N images.

    Attributes:
        probabilities: (N, C), calibrated, in class order.
        unknown_scores: (N,) out-of-distribution scores.
        embeddings: (N, E).
    """

    probabilities: Tensor
    unknown_scores: Tensor
    embeddings: Tensor


class Classifier:
    """A model that classifies images.

    Args:
        model: a model of any number of tasks.
        device: where to compute.
    """

    def __init__(self, model: ServedModel, device: torch.device | str = "cpu") -> None:
        self.model = model
        self.network = model.checkpoint.build(device)
        self.class_names: list[str] = list(model.checkpoint.description["class_names"])
        self.task_sizes = self.network.task_sizes
        self.task_of_class = np.repeat(np.arange(len(self.task_sizes)), self.task_sizes)
        self._preprocessing = model.checkpoint.preprocessing
        self._bank = model.known_embeddings

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as the network reads it."""
        side = self.network.image_size
        return side, side, self.network.in_channels

    @property
    def view_settings(self) -> ViewSettings:
        """Part of an image of any size that the network reads."""
        side = self.network.image_size
        resize = self._preprocessing.resize or side
        return ViewSettings(side, resize, self.network.in_channels)

    def view(self, image: Image.Image) -> NDArray[np.uint8]:
        """Prepare an image of any size for the network: :attr:`image_shape`, uint8.

        Args:
            image: RGB, see :func:`~daformer_kedro.scenario.image_decoding.open_rgb`.
        """
        return network_view(image, self.view_settings)

    def answer(self, images: NDArray[np.uint8], batch_size: int = 512) -> Answers:
        """Run the model on images.

        Args:
            images: (N, H, W, C) pixels from 0 to 255, of :attr:`image_shape`.
            batch_size: largest number of images at a time.

        Raises:
            InputError: another shape or type.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            raise InputError(
                f"images of shape {images.shape} and type {images.dtype}: must be "
                f"(N, {', '.join(map(str, self.image_shape))}) and uint8"
            )
        if not len(images):
            raise InputError("no image was given: at least one is needed")
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        embeddings, logits = extract(
            self.network, pixels, self._preprocessing, batch_size
        )
        calibration = self.model.calibration
        return Answers(
            probabilities=calibration.probabilities(logits, self.task_sizes),
            unknown_scores=energy(logits)
            if self._bank is None
            else distance_to_bank(embeddings, self._bank),
            embeddings=embeddings,
        )

    def classify(
        self, images: NDArray[np.uint8], batch_size: int = 512
    ) -> pd.DataFrame:
        """Rank the five likeliest classes of each image.

        Args:
            images: see :meth:`answer`.
            batch_size: largest number of images at a time.

        Returns:
            :data:`COLUMNS`, one row per image. With fewer than five classes the last
            ranks are empty. ``is_unknown`` is empty where no threshold is known.

        Raises:
            InputError: another shape or type.
        """
        return self.table(self.answer(images, batch_size))

    def table(self, answers: Answers) -> pd.DataFrame:
        """Tabulate answers, see :meth:`classify`."""
        probabilities = answers.probabilities
        num_ranked = min(NUM_RANKED, probabilities.shape[1])
        ranked = probabilities.sort(dim=1, descending=True, stable=True)
        names = np.array(self.class_names, dtype=object)
        columns: dict[str, object] = {}
        for rank in range(NUM_RANKED):
            if rank < num_ranked:
                chosen = ranked.indices[:, rank].numpy()
                columns[f"class_{rank + 1}"] = names[chosen]
                columns[f"probability_{rank + 1}"] = ranked.values[:, rank].numpy()
                columns[f"task_{rank + 1}"] = self.task_of_class[chosen]
            else:
                for what in ("class", "probability", "task"):
                    columns[f"{what}_{rank + 1}"] = None
        scores = answers.unknown_scores.numpy()
        columns["unknown_score"] = scores
        threshold = None if self._bank is None else self.model.threshold
        columns["is_unknown"] = None if threshold is None else scores > threshold
        return typed(pd.DataFrame(columns, index=range(len(scores))))

    def nearest_known(
        self, embeddings: Tensor, num: int
    ) -> tuple[Tensor, Tensor] | None:
        """Return distances and rows (N, num) of the nearest in the bank, if any."""
        if self._bank is None:
            return None
        return nearest_in_bank(embeddings, self._bank, num)


_TYPES = {
    "class": "string",
    "probability": "Float32",
    "task": "Int16",
    "unknown": "Float32",
    "is": "boolean",
}


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table of answers all its columns and types; cells may be empty."""
    others = [name for name in table.columns if name not in COLUMNS]
    types = {name: _TYPES[name.partition("_")[0]] for name in COLUMNS}
    return table.reindex(columns=[*others, *COLUMNS]).astype(types)
