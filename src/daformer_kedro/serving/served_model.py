"""Everything that using a model needs, as files in one folder.

A run leaves such a folder for its last task, and MLflow's model holds another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.calibration import Calibration
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.checkpoint_file import read_checkpoint
from daformer_kedro.serving.known_images import KnownImages

CHECKPOINT = "checkpoint.safetensors"
CALIBRATION = "calibration.json"
KNOWN_IMAGES = "known_images.safetensors"
FACTS = "model_facts.json"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A checkpoint with what was found out about it.

    Attributes:
        name: run key, or what the model was asked for by.
        checkpoint: the network.
        calibration: from logits to probabilities; as they are where it is not known.
        threshold: unknown score above which an image is taken for unknown.
        known: exemplars to compare with; ``None`` where they are not known.
        facts: how it was made and how good it is, for the model card; may be empty.
        origin: in a few words, where it was found.
        made: when its last task was learnt; ``None`` where that is not known.
    """

    name: str
    checkpoint: Checkpoint
    calibration: Calibration = field(default_factory=Calibration)
    threshold: float | None = None
    known: KnownImages | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    made: datetime | None = None

    @property
    def is_calibrated(self) -> bool:
        """Whether probabilities were fitted."""
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
        InputError: a file is damaged, or there is no checkpoint.
    """
    calibration = _read_json(folder / CALIBRATION)
    known = folder / KNOWN_IMAGES
    return ServedModel(
        name=name,
        checkpoint=read_checkpoint(folder / CHECKPOINT),
        calibration=Calibration.from_json(calibration),
        threshold=calibration.get("unknown_threshold"),
        known=KnownImages.read(known) if known.exists() else None,
        facts=_read_json(folder / FACTS),
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
