"""Settings as dataclasses: kinds of values, and errors that name the key."""

from daformer_kedro.validation.completeness import require_every_setting
from daformer_kedro.validation.types import (
    STRICT,
    Device,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    NoSettings,
    PositiveFloat,
    PositiveInt,
)
from daformer_kedro.validation.validate import validated

__all__ = [
    "STRICT",
    "Device",
    "Fraction",
    "NoSettings",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "require_every_setting",
    "validated",
]
