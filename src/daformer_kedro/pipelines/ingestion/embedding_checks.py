"""Checks of settings that an encoder's stored tokens have no use for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders import encoder_class

_OFF = {
    "crop_padding": 0,
    "random_resized_crop": None,
    "horizontal_flip": 0.0,
    "random_affine": None,
    "rand_augment": None,
    "random_erasing": 0.0,
    "cutmix_alpha": 0.0,
}
"""Values of the settings that change pixels with which they change none."""

_MIXING = {"cutmix_alpha"}


def check_embedding(config: Config) -> None:
    """Make sure that the method and the augmentation fit the encoder.

    Raises:
        InputError: a method in closed form has no fixed encoder; pixels would be
            augmented that a fixed one reads no more; or versions are to be stored that
            are not, or are equal.
    """
    is_fixed = encoder_class(config.model.encoder).is_fixed(config.model)
    if not config.trains and not is_fixed:
        raise InputError(
            f"baseline = {config.baseline} trains nothing, so it needs an encoder "
            "with pretrained weights that stays as it is, and model.encoder = "
            f"{config.model.encoder} is not: name a timm model, with "
            "model.encoder_settings {weights: embedded, train: frozen}"
        )
    augmentation = config.augmentation
    given = {
        name: getattr(augmentation, name)
        for name, off in _OFF.items()
        if getattr(augmentation, name) != off
    }
    if augmentation.stored_views == 1:
        if is_fixed and config.trains:
            _refuse(given, "embeds each image once and trains on that")
        return
    views = f"augmentation.stored_views = {augmentation.stored_views}"
    if not is_fixed:
        raise InputError(
            f"{views} needs an encoder with pretrained weights that stays as it is "
            "(model.encoder_settings.train = frozen); others see another version of an "
            "image each time. Give 1"
        )
    mixed = {name: v for name, v in given.items() if name in _MIXING}
    if config.trains:
        _refuse(mixed, "stores versions of single images")
    if given == mixed:
        raise InputError(
            f"{views} would store the same version again: set what changes pixels, "
            "such as augmentation.random_resized_crop or horizontal_flip"
        )


def _refuse(given: Mapping[str, Any], what: str) -> None:
    if given:
        shown = ", ".join(f"augmentation.{name} = {v}" for name, v in given.items())
        raise InputError(
            f"{shown}: without effect, since model.encoder_settings.train = frozen "
            f"{what}. Switch them off (0 or null), store augmented versions "
            "(augmentation.stored_views), or take train: last or all"
        )
