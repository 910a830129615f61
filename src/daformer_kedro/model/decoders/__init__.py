"""Decoders; :data:`DECODERS` lists them.

A new decoder is a file in this folder, with a subclass of
:class:`~daformer_kedro.model.decoders.decoder.Decoder`, and a line in :data:`DECODERS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from daformer_kedro.errors import InputError
from daformer_kedro.model.decoders.decoder import Decoder
from daformer_kedro.model.decoders.dual_attention_decoder import DualAttentionDecoder
from daformer_kedro.model.decoders.mean import MeanDecoder
from daformer_kedro.model.decoders.task_attention import TaskAttentionDecoder

DECODERS: Mapping[str, type[Decoder]] = {
    "dual_attention": DualAttentionDecoder,
    "task_attention": TaskAttentionDecoder,
    "mean": MeanDecoder,
}
"""Every decoder by its value of ``model.decoder``."""


def decoder_class(name: str) -> type[Decoder]:
    """Return the class of decoders that ``model.decoder`` names.

    Raises:
        InputError: the name is not known.
    """
    if name not in DECODERS:
        raise InputError(
            f"model.decoder = {name!r} is not a decoder; allowed: {', '.join(DECODERS)}"
        )
    return DECODERS[name]


__all__ = ["DECODERS", "Decoder", "decoder_class"]
