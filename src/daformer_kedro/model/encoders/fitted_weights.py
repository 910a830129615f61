"""Weights of a file as a network of timm has them: names, sizes, none left over."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders.timm_backbone import create, published
from daformer_kedro.model.encoders.weights import SETTING, Weights

_NUM_EXAMPLES = 3


def fitted(
    weights: Weights, name: str, side: int, expected: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Let timm convert names and sizes, and make sure that all weights are there.

    Positions, windows and patches that were trained with another size of images are
    resampled. The classifier is left out.

    Args:
        weights: as read.
        name: of the network.
        side: of its images, in pixels.
        expected: the network's own weights.

    Raises:
        InputError: they do not fit; counts what is missing and what is too much.
    """
    state = _without_classifier(weights.state, name, expected)
    # Without classes on either side timm wants every weight to fit.
    overlay = {"state_dict": dict(state), "num_classes": 0, "label_offset": 0}
    options = {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        loaded = create(name, side, torch.Generator(), **options)
    except Exception as error:  # from converters of some 50 layouts
        reason = _differences(state, expected) or str(error).strip()
        raise InputError(
            f"the weights of {weights.source} ({SETTING}) do not fit model.encoder = "
            f"{name!r}: {reason}"
        ) from error
    return loaded.state_dict()


def _without_classifier(
    state: Mapping[str, Tensor], name: str, expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Leave out the classifier, which may be of any classes."""
    named = published(name).classifier or ()
    prefixes = (named,) if isinstance(named, str) else tuple(named)
    heads = tuple(f"{prefix}." for prefix in prefixes)
    return {
        key: value
        for key, value in state.items()
        if key in expected or not key.startswith(heads)
    }


def _differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Count what is missing, too much or of another shape; empty where all fit."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name}: {tuple(value.shape)} instead of {tuple(expected[name].shape)}"
        for name, value in state.items()
        if name in expected and value.shape != expected[name].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    return "; ".join(
        f"{len(names)} {kind} ({_listed(names)})"
        for kind, names in found.items()
        if names
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NUM_EXAMPLES])
    return f"{shown}, …" if len(names) > _NUM_EXAMPLES else shown
