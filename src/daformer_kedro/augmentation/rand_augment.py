"""RandAugment (Cubuk et al., NeurIPS 2020), drawn for each image of a batch.

The operations, their probability and the meaning of a magnitude are those of timm's
policy strings, so that ``rand-m9-mstd0.5-inc1`` means here what it means there.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from daformer_kedro.augmentation.rand_augment_operations import (
    NO_OPERATION,
    OPERATIONS,
    apply_operations,
)
from daformer_kedro.errors import InputError

_FULL_MAGNITUDE = 10.0
_UNIFORM_ABOVE = 100.0
_PARTS = {
    "m": r"\d+",
    "n": r"\d+",
    "p": r"\d*\.?\d+",
    "mstd": r"\d*\.?\d+|inf",
    "mmax": r"\d+",
    "inc": r"[01]",
}


@dataclass(frozen=True)
class Policy:
    """Meaning of a policy string.

    Attributes:
        magnitude: strength of operations; 10 is full strength.
        num_operations: operations drawn for an image, one after the other.
        probability: that a drawn operation is carried out.
        magnitude_std: deviation of normal noise on the magnitude; infinite for a
            uniform draw between 0 and the magnitude.
        magnitude_max: largest magnitude after the noise.
        increasing: let every operation grow stronger with the magnitude.
    """

    magnitude: float = _FULL_MAGNITUDE
    num_operations: int = 2
    probability: float = 0.5
    magnitude_std: float = 0.0
    magnitude_max: float = _FULL_MAGNITUDE
    increasing: bool = False


def parse_policy(text: str) -> Policy:
    """Read a policy string such as ``rand-m9-n2-p0.5-mstd0.5-mmax10-inc1``.

    Raises:
        InputError: for a part that is unknown, repeated or out of range.
    """
    name, *parts = text.split("-")
    if name != "rand":
        raise _bad_policy(text, f"it must begin with rand, not {name!r}")
    values: dict[str, float] = {}
    for part in parts:
        match = re.fullmatch(r"([a-z]+)(.*)", part)
        key = match[1] if match else part
        if part == "mstdinf":
            key = "mstd"
        if key not in _PARTS or not re.fullmatch(_PARTS[key], part[len(key) :]):
            raise _bad_policy(text, f"part {part!r} is unknown")
        if key in values:
            raise _bad_policy(text, f"{key} is given twice")
        values[key] = float(part[len(key) :])
    if values.get("n") == 0 or values.get("mmax") == 0 or values.get("p", 0) > 1:
        raise _bad_policy(text, "n and mmax must be at least 1, and p at most 1")
    deviation = values.get("mstd", 0.0)
    return Policy(
        magnitude=values.get("m", _FULL_MAGNITUDE),
        num_operations=int(values.get("n", 2)),
        probability=values.get("p", 0.5),
        magnitude_std=math.inf if deviation > _UNIFORM_ABOVE else deviation,
        magnitude_max=values.get("mmax", _FULL_MAGNITUDE),
        increasing=bool(values.get("inc", 0)),
    )


def _bad_policy(text: str, reason: str) -> InputError:
    return InputError(
        f"augmentation.rand_augment = {text!r}: {reason}. Allowed is rand, followed "
        "by any of -mN (magnitude), -nN (operations an image), -pX (probability), "
        "-mstdX (noise of the magnitude), -mmaxN (its limit) and -inc0 or -inc1, "
        "as in rand-m9-mstd0.5-inc1"
    )


@dataclass(frozen=True)
class _Scale:
    """Map from a level in [0, 1] to an operation's argument.

    The argument is ``offset ± min(span * level, limit)``, at least ``least``.

    Attributes:
        whole: cut the product to an integer first.
        sign: 1 or -1, or 0 for a sign drawn by chance.
    """

    span: float = 0.0
    offset: float = 0.0
    limit: float = math.inf
    least: float = -math.inf
    whole: bool = False
    sign: int = 1


def _scales(increasing: bool) -> tuple[_Scale, ...]:
    """The scale of every operation, in the order of ``OPERATIONS``."""
    sign = -1 if increasing else 1
    bits = _Scale(4, 4.0 * increasing, whole=True, sign=sign, least=0)
    threshold = _Scale(256, 256.0 * increasing, limit=256, whole=True, sign=sign)
    factor = _Scale(0.9, 1, least=0.1, sign=0) if increasing else _Scale(1.8, 0.1)
    by_name = {
        "Rotate": _Scale(30, sign=0),
        "Posterize": bits,
        "Solarize": threshold,
        "SolarizeAdd": _Scale(110, limit=128, whole=True),
        "Color": factor,
        "Contrast": factor,
        "Brightness": factor,
        "Sharpness": factor,
        "ShearX": _Scale(0.3, sign=0),
        "ShearY": _Scale(0.3, sign=0),
        "TranslateXRel": _Scale(0.45, sign=0),
        "TranslateYRel": _Scale(0.45, sign=0),
    }
    return tuple(by_name.get(name, _Scale()) for name in OPERATIONS)


class RandAugment:
    """RandAugment of a batch; every choice is drawn for each image by itself.

    Geometric operations interpolate with the bicubic kernel, as the published recipe
    sets, and fill with the data's mean colour.

    Args:
        policy: see :func:`parse_policy`.
        mean: share of 255 of each channel, for the fill colour.
        device: of the images.

    Raises:
        InputError: when the images have neither one nor three channels.
    """

    def __init__(
        self, policy: Policy, mean: tuple[float, ...], device: torch.device | str
    ) -> None:
        if len(mean) not in (1, 3):
            raise InputError(
                f"augmentation.rand_augment works on 1 or 3 channels, and "
                f"preprocessing.mean has {len(mean)}; set it to null"
            )
        self.policy = policy
        levels = [min(255, max(0, round(255 * share))) for share in mean]
        self._fill = torch.tensor(levels, dtype=torch.uint8, device=device)
        rows = [
            (s.span, s.offset, s.limit, s.least, s.whole, s.sign)
            for s in _scales(policy.increasing)
        ]
        rows.append((0.0, 0.0, 0.0, 0.0, False, 1))  # NO_OPERATION
        self._scales = torch.tensor(rows, dtype=torch.float64)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch.

        Args:
            images: (B, C, H, W) uint8.
            generator: on the CPU, wherever the images lie.
        """
        numbers, arguments = self.draw(len(images), generator)
        return apply_operations(images, numbers, arguments, self._fill)

    def draw(
        self, num_images: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw operations and their arguments, on the CPU.

        Returns:
            Numbers of operations (n, num_images) int64, ``NO_OPERATION`` where none
            is carried out, and arguments (n, num_images) float64.
        """
        policy = self.policy
        shape = (policy.num_operations, num_images)
        options: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
        choice, chance, sign, share = torch.rand((4, *shape), **options)
        drawn = (choice * len(OPERATIONS)).long()
        numbers = torch.where(chance < policy.probability, drawn, NO_OPERATION)
        if math.isinf(policy.magnitude_std):
            magnitude = policy.magnitude * share
        elif policy.magnitude_std:
            noise = torch.randn(shape, **options)
            magnitude = policy.magnitude + policy.magnitude_std * noise
        else:
            magnitude = torch.full_like(share, policy.magnitude)
        level = magnitude.clamp_(0, policy.magnitude_max) / _FULL_MAGNITUDE
        return numbers, self._arguments(numbers, level, sign < 0.5)

    def _arguments(self, numbers: Tensor, level: Tensor, positive: Tensor) -> Tensor:
        rows = self._scales.index_select(0, numbers.view(-1)).view(*numbers.shape, 6)
        span, offset, limit, least, whole, sign = rows.unbind(-1)
        size = span * level
        size = torch.minimum(torch.where(whole > 0, size.floor(), size), limit)
        chance = torch.where(positive, 1.0, -1.0)
        size = size * torch.where(sign == 0, chance, sign)
        return torch.maximum(offset + size, least)
