"""A model to use: all its files in one folder.

A run leaves such a folder for its last task, and MLflow's model holds another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.calibration import Calibration
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.checkpoint_file import read_checkpoint
from daformer_kedro.serving.exemplar_bank import ExemplarBank
from daformer_kedro.serving.reference import Reference

CHECKPOINT = "checkpoint.safetensors"
CALIBRATION = "calibration.json"
EXEMPLAR_BANK = "known_images.safetensors"  # a name that older models have too
REFERENCE = "reference.safetensors"
METADATA = "model_facts.json"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A checkpoint with what was measured of it.

    Attributes:
        name: run key, or the name by which the model was requested.
        checkpoint: the network.
        calibration: from logits to probabilities; the identity where it is not known.
        threshold: out-of-distribution score above which an image counts as unknown.
        bank: exemplars or class means to compare with; ``None`` where not known.
        reference: answers for the images it was tested on, to compare a stream with;
            ``None`` in models of earlier versions.
        metadata: how it was made and how good it is, for the model card; may be empty.
        origin: in a few words, where it was found.
        made: when its last task was learnt; ``None`` where that is not known.
    """

    name: str
    checkpoint: Checkpoint
    calibration: Calibration = field(default_factory=Calibration)
    threshold: float | None = None
    bank: ExemplarBank | None = None
    reference: Reference | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    made: datetime | None = None

    @property
    def known_embeddings(self) -> Tensor | None:
        """Embeddings (M, E) float32 of exemplars or classes; ``None`` without any."""
        if self.bank is None or not len(self.bank.embeddings):
            return None
        return self.bank.embeddings.float()

    @property
    def is_calibrated(self) -> bool:
        """Return whether the probabilities were calibrated."""
        return self.calibration != Calibration()


def read_model(
    folder: Path, name: str, origin: str = "", made: datetime | None = None
) -> ServedModel:
    """Read a model's folder; all but the checkpoint may be missing.

    Args:
        folder: with :data:`CHECKPOINT` and the other files.
        name: what to call the model.
        origin: where it was found, for messages.
        made: when it was learnt.

    Raises:
        InputError: a file is damaged, or the checkpoint is missing.
    """
    calibration = _read_json(folder / CALIBRATION)
    bank, reference = folder / EXEMPLAR_BANK, folder / REFERENCE
    return ServedModel(
        name=name,
        checkpoint=read_checkpoint(folder / CHECKPOINT),
        calibration=Calibration.from_json(calibration),
        threshold=calibration.get("unknown_threshold"),
        bank=ExemplarBank.read(bank) if bank.exists() else None,
        reference=Reference.read(reference) if reference.exists() else None,
        metadata=_read_json(folder / METADATA),
        origin=origin,
        made=made,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
