"""The reference of a model: its answers for images that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daformer_kedro.evaluation.monitoring.observations import Observations
from daformer_kedro.evaluation.thinning import evenly_spaced
from daformer_kedro.serving.tensor_file import read_tensor_file

MOST_IMAGES = 5000


@dataclass(frozen=True, eq=False)
class Reference:
    """Answers for the images that a model was tested on, to compare a stream with.

    Attributes:
        observed: of at most :data:`MOST_IMAGES` images, with embeddings and targets.
        training_counts: (C,) training images of each class.
    """

    observed: Observations
    training_counts: NDArray[np.int64]

    def tensors(self) -> dict[str, Tensor]:
        """Return what is stored, embeddings as float16.

        Of many images some are taken, evenly spread over the classes.
        """
        observed = self.observed
        by_class = np.argsort(observed.target, kind="stable")
        chosen = by_class[evenly_spaced(len(by_class), MOST_IMAGES)]
        kept = observed.select(np.sort(chosen))
        embeddings = np.asarray(kept.embeddings, dtype=np.float16)
        arrays = {
            "embeddings": embeddings,
            "unknown_scores": kept.unknown_scores,
            "confidences": kept.confidences,
            "predicted": kept.predicted,
            "targets": kept.target,
            "training_counts": self.training_counts,
        }
        return {name: torch.from_numpy(np.array(v)) for name, v in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Reference:
        """Read what :meth:`tensors` returned."""
        observed = Observations(
            predicted=tensors["predicted"].numpy(),
            confidences=tensors["confidences"].numpy(),
            unknown_scores=tensors["unknown_scores"].numpy(),
            embeddings=tensors["embeddings"].float().numpy(),
            targets=tensors["targets"].numpy(),
        )
        return cls(observed, tensors["training_counts"].numpy())

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read a safetensors file.

        Raises:
            InputError: it is damaged.
        """
        return read_tensor_file(path, cls.from_tensors)
