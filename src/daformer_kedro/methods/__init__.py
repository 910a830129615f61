"""Methods of class-incremental learning; :data:`METHODS` lists them.

A new method is a file beside these, with a
:class:`~daformer_kedro.methods.method.Method`, and a line in :data:`METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from daformer_kedro.methods.daformer import DAFORMER
from daformer_kedro.methods.dytox import DYTOX, DYTOX_PLUS, DYTOX_PLUSPLUS
from daformer_kedro.methods.finetune import FINETUNE
from daformer_kedro.methods.joint import JOINT
from daformer_kedro.methods.method import Method
from daformer_kedro.methods.nearest_mean import NEAREST_MEAN
from daformer_kedro.methods.replay import REPLAY
from daformer_kedro.methods.weight_alignment import WEIGHT_ALIGNMENT

METHODS: Mapping[str, Method] = {
    "none": DAFORMER,
    "finetune": FINETUNE,
    "replay": REPLAY,
    "joint": JOINT,
    "nearest_mean": NEAREST_MEAN,
    "weight_alignment": WEIGHT_ALIGNMENT,
    "dytox": DYTOX,
    "dytox_plus": DYTOX_PLUS,
    "dytox_plusplus": DYTOX_PLUSPLUS,
}
"""Every method by its value of the parameter ``baseline``."""

__all__ = ["METHODS", "Method"]
