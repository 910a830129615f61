"""Parameters that an encoder knows best, where the given ones are null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders import encoder_class

_ASKED_FOR = {
    "model": ("embed_dim",),
    "preprocessing": ("mean", "std", "image_size", "resize"),
}
_PER_CHANNEL = {"mean", "std"}


def fill_from_encoder(
    parameters: Mapping[str, Any], *, of_files: bool, is_grey: Callable[[], bool]
) -> dict[str, Any]:
    """Replace null parameters by what the encoder wants, such as its normalisation.

    Args:
        parameters: all of a run's, not validated yet. What has another form than it
            should is left to validation.
        of_files: whether images are files, which are cut to a size; others have a size
            of their own.
        is_grey: returns whether images have one channel, for which the colours'
            normalisation is averaged; asked where that is wanted alone.

    Raises:
        InputError: ``model.encoder`` is unknown, or has no width to stand in.
    """
    filled = dict(parameters)
    model = parameters.get("model")
    sections = {
        section: parameters[section]
        for section in _ASKED_FOR
        if isinstance(parameters.get(section), Mapping)
    }
    nulls = {
        section: [name for name in _ASKED_FOR[section] if values.get(name, 0) is None]
        for section, values in sections.items()
    }
    if not isinstance(model, Mapping) or not any(nulls.values()):
        return filled
    wanted = encoder_class(str(model.get("encoder"))).defaults(model)
    if "embed_dim" in nulls["model"] and "embed_dim" not in wanted.get("model", {}):
        raise InputError(
            f"model.embed_dim = null stands for the width of a pretrained encoder, and "
            f"model.encoder = {model.get('encoder')} has none of its own: name a timm "
            "model (the baselines prototypes and ridge need one), or give a width"
        )
    if not of_files or sections.get("preprocessing", {}).get("image_size") is not None:
        for_files = {"image_size", "resize"}  # they go together
        nulls = {
            key: [n for n in ns if n not in for_files] for key, ns in nulls.items()
        }
    for section, names in nulls.items():
        own = wanted.get(section, {})
        known = {name: own[name] for name in names if name in own}
        for name in _PER_CHANNEL.intersection(known):
            if is_grey():
                known[name] = [sum(known[name]) / len(known[name])]
        filled[section] = {**sections[section], **known}
    return filled
