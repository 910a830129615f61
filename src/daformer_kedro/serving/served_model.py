"""A model to use: all its files in one folder.

A run leaves such a folder for its last task, and MLflow's model holds another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.calibration import Calibration
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.checkpoint_file import read_checkpoint
from daformer_kedro.serving.exemplar_bank import ExemplarBank

CHECKPOINT = "checkpoint.safetensors"
CALIBRATION = "calibration.json"
KNOWN_IMAGES = "known_images.safetensors"
FACTS = "model_facts.json"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A checkpoint with what was measured of it.

    Attributes:
        name: run key, or the name by which the model was requested.
        checkpoint: the network.
        calibration: from logits to probabilities; the identity where it is not known.
        threshold: out-of-distribution score above which an image counts as unknown.
        known: exemplars to compare with; ``None`` where they are not known.
        facts: how it was made and how good it is, for the model card; may be empty.
        origin: in a few words, where it was found.
    """

    name: str
    checkpoint: Checkpoint
    calibration: Calibration = field(default_factory=Calibration)
    threshold: float | None = None
    known: ExemplarBank | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    @property
    def exemplar_embeddings(self) -> Tensor | None:
        """Embeddings (M, E) float32 to compare with; ``None`` without exemplars."""
        if self.known is None or not self.known.num_exemplars:
            return None
        return self.known.embeddings.float()

    @property
    def is_calibrated(self) -> bool:
        """Return whether the probabilities were calibrated."""
        return self.calibration != Calibration()


def read_model(folder: Path, name: str, origin: str = "") -> ServedModel:
    """Read a model's folder; all but the checkpoint may be missing.

    Args:
        folder: with :data:`CHECKPOINT` and the other files.
        name: what to call the model.
        origin: where it was found, for messages.

    Raises:
        InputError: a file is damaged, or the checkpoint is missing.
    """
    calibration = _read_json(folder / CALIBRATION)
    known = folder / KNOWN_IMAGES
    return ServedModel(
        name=name,
        checkpoint=read_checkpoint(folder / CHECKPOINT),
        calibration=Calibration.from_json(calibration),
        threshold=calibration.get("unknown_threshold"),
        known=ExemplarBank.read(known) if known.exists() else None,
        facts=_read_json(folder / FACTS),
        origin=origin,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
