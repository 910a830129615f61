"""A network of timm as what makes tokens: its name, its shape, its parts."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import timm
import torch
from timm.data import resolve_data_config
from timm.layers import DropBlock2d, DropPath
from timm.models import PretrainedCfg, get_pretrained_cfg, group_parameters
from torch import Tensor, nn

from daformer_kedro.errors import InputError

_DROPOUTS = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.AlphaDropout
_NUM_NEAREST = 4
_OF_SIZES = (ArithmeticError, AssertionError, IndexError, RuntimeError, ValueError)
"""Errors with which networks of timm refuse images of a size that does not fit them."""

Layout = Literal["NCHW", "NHWC", "NLC"]


@dataclass(frozen=True)
class Outline:
    """Facts about a network without its weights.

    Attributes:
        grid: rows and columns of tokens; 1 and their number where they lie on no
            square grid.
        width: channels W of a token.
        layout: order of the axes of what the network returns.
        num_prefix_tokens: tokens before those of the image (class, registers).
        used: names of the parameters that the tokens depend on. Others belong to a
            pooling or a classifier.
    """

    grid: tuple[int, int]
    width: int
    layout: Layout
    num_prefix_tokens: int
    used: frozenset[str]


def check_name(name: str, others: Collection[str] = ()) -> None:
    """Make sure that timm has a network of this name.

    Args:
        name: an architecture, or one with a tag of its weights after a full stop.
        others: names that ``model.encoder`` may have besides.

    Raises:
        InputError: it has not; names the nearest ones.
    """
    architectures, tagged = timm.list_models(), timm.list_pretrained()
    if name in architectures or name in tagged:
        return
    known = [*others, *(tagged if "." in name else architectures)]
    longer = [other for other in known if other.startswith(name)][:_NUM_NEAREST]
    near = dict.fromkeys(longer + difflib.get_close_matches(name, known))
    hint = f" Nearest: {', '.join(list(near)[:_NUM_NEAREST])}." if near else ""
    raise InputError(
        f"model.encoder = {name!r} is not an encoder.{hint} Allowed: "
        f"{', '.join([*others, 'any name of timm.list_models()'])}, also with a tag of "
        "timm.list_pretrained()"
    )


def published(name: str) -> PretrainedCfg:
    """Return what timm knows of a network's published weights and their images."""
    known = get_pretrained_cfg(name)
    assert known is not None  # a name that check_name() lets through
    return known


def data_config(name: str) -> Mapping[str, Any]:
    """Return timm's ``input_size`` (C, H, W), ``mean``, ``std``, ``crop_pct``, …."""
    return resolve_data_config({}, pretrained_cfg=published(name).to_dict())


def create(name: str, side: int, generator: torch.Generator, **options: Any) -> Any:
    """Make a network for images of ``side`` pixels, without classifier or dropout.

    Args:
        name: as timm calls it.
        side: height and width of the images, in pixels.
        generator: source of the starting weights; the global state is left alone.
        options: of ``timm.create_model``.
    """
    if published(name).fixed_input_size:
        options["img_size"] = side
    device = generator.device
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = timm.create_model(name, num_classes=0, **options)
    for module in backbone.modules():
        # Some have rates of their own, and would draw from the global random state.
        if isinstance(module, _DROPOUTS):
            module.p = 0.0
        elif isinstance(module, DropPath | DropBlock2d):
            module.drop_prob = 0.0
    return backbone


def create_empty(name: str, side: int) -> Any:
    """Make a network as :func:`create` does, whose weights take no room or time."""
    generator = torch.Generator()
    with torch.device("meta"):
        return create(name, side, generator)


@lru_cache(maxsize=32)
def outline(name: str, side: int) -> Outline:
    """Find the tokens' shape by a pass without numbers, in tenths of a second.

    Raises:
        InputError: images of this size do not fit, or there are no tokens.
    """
    shown = f"model.encoder = {name!r}"
    try:
        with torch.inference_mode(False), torch.enable_grad():
            backbone = create_empty(name, side).eval()
            with torch.device("meta"):
                features = backbone.forward_features(torch.empty(1, 3, side, side))
            if isinstance(features, Tensor):
                features.sum().backward()
    except _OF_SIZES as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{shown} does not take images of {side} pixels "
            f"(model.encoder_settings.input_size): {reason}"
        ) from error
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise InputError(
            f"{shown} is not an encoder: it returns neither one map nor one sequence "
            "of tokens"
        )
    layout = _layout(features, backbone)
    prefix = _num_prefix_tokens(features, backbone) if layout == "NLC" else 0
    shape = dict(zip(layout, features.shape, strict=True))
    grid = (
        (shape["H"], shape["W"]) if features.ndim == 4 else _grid(shape["L"] - prefix)
    )
    used = (key for key, p in backbone.named_parameters() if p.grad is not None)
    return Outline(grid, shape["C"], layout, prefix, frozenset(used))


def to_tokens(features: Tensor, about: Outline) -> Tensor:
    """Bring what a network of timm returns to tokens (B, N, W), row by row."""
    if about.layout == "NCHW":
        return features.flatten(2).transpose(1, 2)
    if about.layout == "NHWC":
        return features.flatten(1, 2)
    return features[:, about.num_prefix_tokens :]


def layer_numbers(backbone: Any, about: Outline, coarse: bool) -> dict[str, int]:
    """Return timm's layer of each used parameter, 0 for the stem.

    Args:
        backbone: a network of timm.
        about: it.
        coarse: by stages where the network has any, else by blocks.

    Raises:
        InputError: timm does not divide this network into layers.
    """
    try:
        matcher = backbone.group_matcher(coarse=coarse)
    except (AttributeError, AssertionError) as error:
        raise InputError(
            f"timm does not divide {backbone.pretrained_cfg['architecture']} into "
            "layers: model.encoder_settings.train must be frozen or all, and "
            "layer_decay must be 1"
        ) from error
    numbers = group_parameters(backbone, matcher, reverse=True)
    return {name: number for name, number in numbers.items() if name in about.used}


def last_stage(backbone: Any, about: Outline) -> frozenset[str]:
    """Return the names of the parameters of the last stage or block, and after it.

    That is timm's last coarse layer with a matrix or a kernel: a normalisation at the
    end, which timm counts as a layer of its own in some networks, is no stage.
    """
    numbers = layer_numbers(backbone, about, coarse=True)
    weights = dict(backbone.named_parameters())
    last = max(number for name, number in numbers.items() if weights[name].ndim > 1)
    return frozenset(name for name, number in numbers.items() if number >= last)


def _layout(features: Tensor, backbone: Any) -> Layout:
    if features.ndim == 3:
        return "NLC"
    if getattr(backbone, "output_fmt", "NCHW") == "NHWC":
        return "NHWC"
    return "NCHW"


def _num_prefix_tokens(features: Tensor, backbone: Any) -> int:
    """Return the number of tokens that stand for no patch."""
    known = getattr(backbone, "num_prefix_tokens", None)
    if known is not None:
        return int(known)
    has_class_token = getattr(backbone, "cls_token", None) is not None
    return int(has_class_token and features.shape[1] > 1)


def _grid(num_tokens: int) -> tuple[int, int]:
    side = math.isqrt(num_tokens)
    return (side, side) if side**2 == num_tokens else (1, num_tokens)
