"""Methods of class-incremental learning; :data:`METHODS` lists them.

A new method is a file in this folder, with a subclass of
:class:`~daformer_kedro.methods.method.Method`, and a line in :data:`METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from daformer_kedro.errors import InputError
from daformer_kedro.methods.closed_form import ClosedFormMethod
from daformer_kedro.methods.daformer import DAFormerMethod
from daformer_kedro.methods.dytox import DyTox, DyToxPlus, DyToxPlusPlus
from daformer_kedro.methods.finetune import Finetune
from daformer_kedro.methods.joint import Joint
from daformer_kedro.methods.method import Method
from daformer_kedro.methods.nearest_mean import NearestMean
from daformer_kedro.methods.prototypes import Prototypes
from daformer_kedro.methods.replay import Replay
from daformer_kedro.methods.ridge import Ridge
from daformer_kedro.methods.weight_alignment import WeightAlignment

METHODS: Mapping[str, type[Method]] = {
    "none": DAFormerMethod,
    "finetune": Finetune,
    "replay": Replay,
    "joint": Joint,
    "nearest_mean": NearestMean,
    "weight_alignment": WeightAlignment,
    "prototypes": Prototypes,
    "ridge": Ridge,
    "dytox": DyTox,
    "dytox_plus": DyToxPlus,
    "dytox_plusplus": DyToxPlusPlus,
}
"""Every method by its value of the parameter ``baseline``."""


def classifier_class(name: str) -> type[nn.Module]:
    """Return the class of a classifier that stands in a model in place of its heads.

    Args:
        name: of the class.

    Raises:
        InputError: no method has such a classifier.
    """
    known = {t.__name__: t for m in METHODS.values() for t in m.classifier_types}
    if name not in known:
        raise InputError(
            f"{name!r} is not a classifier of any method; allowed: {', '.join(known)}. "
            "The method that the model was learnt by may be missing from METHODS"
        )
    return known[name]


__all__ = ["METHODS", "ClosedFormMethod", "Method", "classifier_class"]
