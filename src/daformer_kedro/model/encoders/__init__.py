"""Encoders; :data:`ENCODERS` lists them.

A new encoder is a file beside these, with a subclass of
:class:`~daformer_kedro.model.encoders.encoder.Encoder`, and a line in :data:`ENCODERS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders.encoder import Encoder
from daformer_kedro.model.encoders.gated_attention import GatedAttentionEncoder

ENCODERS: Mapping[str, type[Encoder]] = {"gated_attention": GatedAttentionEncoder}
"""Every encoder by its value of ``model.encoder``."""


def encoder_class(name: str) -> type[Encoder]:
    """Return the class of encoders that ``model.encoder`` names.

    Raises:
        InputError: there is none of this name.
    """
    if name not in ENCODERS:
        raise InputError(
            f"model.encoder = {name!r} is not an encoder; allowed: "
            f"{', '.join(ENCODERS)}"
        )
    return ENCODERS[name]


__all__ = ["ENCODERS", "Encoder", "encoder_class"]
