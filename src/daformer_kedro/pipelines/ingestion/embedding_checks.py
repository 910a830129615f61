"""Checks of settings that an encoder's stored tokens have no use for."""

from __future__ import annotations

from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders import encoder_class

_OF_PIXELS = {
    "crop_padding": 0,
    "random_resized_crop": None,
    "horizontal_flip": 0.0,
    "random_affine": None,
    "rand_augment": None,
    "random_erasing": 0.0,
    "cutmix_alpha": 0.0,
}


def check_embedding(config: Config) -> None:
    """Make sure that the method and the augmentation fit the encoder.

    Raises:
        InputError: a method in closed form has no fixed encoder, or pixels would be
            augmented that a fixed one reads no more.
    """
    is_fixed = encoder_class(config.model.encoder).is_fixed(config.model)
    if not config.trains:
        if not is_fixed:
            raise InputError(
                f"baseline = {config.baseline} trains nothing, so it needs an encoder "
                "with pretrained weights that stays as it is, and model.encoder = "
                f"{config.model.encoder} is not: name a timm model, with "
                "model.encoder_settings {weights: embedded, train: frozen}"
            )
        return
    given = {
        f"augmentation.{name}": getattr(config.augmentation, name)
        for name, off in _OF_PIXELS.items()
        if getattr(config.augmentation, name) != off
    }
    if is_fixed and given:
        shown = ", ".join(f"{name} = {value}" for name, value in given.items())
        raise InputError(
            f"{shown}: without effect, since model.encoder_settings.train = frozen "
            "embeds each image once and trains on that. Switch them off "
            "(0 or null), or take train: last or all"
        )
