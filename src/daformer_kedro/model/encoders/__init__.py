"""Encoders; :data:`ENCODERS` lists them.

A new encoder is a file in this folder, with a subclass of
:class:`~daformer_kedro.model.encoders.encoder.Encoder`, and a line in :data:`ENCODERS`.
Any other name is a network of timm,
:class:`~daformer_kedro.model.encoders.timm_encoder.TimmEncoder`.
"""

from __future__ import annotations

from collections.abc import Mapping

from daformer_kedro.model.encoders.encoder import Encoder
from daformer_kedro.model.encoders.gated_attention import GatedAttentionEncoder

ENCODERS: Mapping[str, type[Encoder]] = {
    "gated_attention": GatedAttentionEncoder,
}
"""This project's own encoders by their value of ``model.encoder``."""


def encoder_class(name: str) -> type[Encoder]:
    """Return the class of encoders that ``model.encoder`` names.

    Raises:
        InputError: neither this project nor timm has one of this name.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    # Only here: timm takes seconds to import.
    from daformer_kedro.model.encoders.timm_backbone import check_name
    from daformer_kedro.model.encoders.timm_encoder import TimmEncoder

    check_name(name, ENCODERS)
    return TimmEncoder


__all__ = ["ENCODERS", "Encoder", "encoder_class"]
