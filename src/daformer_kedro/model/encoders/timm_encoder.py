"""Any network of timm as the encoder, with random or pretrained weights.

R. Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders.encoder import Encoder
from daformer_kedro.model.encoders.fitted_weights import fitted
from daformer_kedro.model.encoders.timm_backbone import (
    create,
    create_empty,
    data_config,
    last_stage,
    layer_numbers,
    outline,
    to_tokens,
)
from daformer_kedro.model.encoders.weights import check_weights, read_weights
from daformer_kedro.model.initialisation import linear
from daformer_kedro.validation import STRICT, PositiveFloat, PositiveInt, validated

_PIXELS_AT_ONCE = 16 * 224**2

_NAMED = ("embedded", "pretrained", "none")


@dataclass(frozen=True, config=STRICT)
class TimmSettings:
    """The section ``model.encoder_settings`` of a network of timm.

    Attributes:
        weights: ``embedded`` (ImageNet weights of ``tf_efficientnet_lite0`` that are
            installed with the project), ``pretrained`` (from the place that timm
            names), the path of a file, or ``none``.
        train: ``frozen`` keeps the network as it is, ``last`` trains its last stage
            or block and what follows, ``all`` trains it whole.
        learning_rate_scale: factor of the learning rate of the network; the map after
            it, decoder and heads train with the rate itself.
        layer_decay: further factor for each layer before the last one.
        input_size: side of the images in the network, in pixels, ``None`` for timm's;
            images of another size are scaled on the device.
    """

    weights: str = "none"
    train: Literal["frozen", "last", "all"] = "all"
    learning_rate_scale: PositiveFloat = 1.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    input_size: PositiveInt | None = None


class TimmEncoder(Encoder):
    """A network of timm without its classifier, then a map to ``model.embed_dim``.

    A map of a convolutional network and a sequence of tokens both become tokens
    (B, N, W), without those that stand for no patch. The map is linear where W is not
    D, and none where it is. Grey images are repeated for the three colours. Dropout
    and stochastic depth within the network are off.

    Normalisation by the batch is in evaluation mode where it does not train, so that
    its statistics stay with its weights.
    """

    Settings = TimmSettings
    requirements = ("timm",)
    backbone: Any

    def __init__(
        self,
        config: ModelConfig,
        *,
        image_size: int,
        in_channels: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(
            config, image_size=image_size, in_channels=in_channels, generator=generator
        )
        if in_channels not in (1, 3):
            raise InputError(
                f"in_channels = {in_channels} does not fit model.encoder = "
                f"{config.encoder!r}: must be 1 (grey) or 3 (RGB)"
            )
        self.name = config.encoder
        self.settings = _settings(config.encoder_settings)
        self.side = _side(self.name, self.settings)
        self.outline = outline(self.name, self.side)
        self.grid = self.outline.grid
        self.backbone = create(self.name, self.side, generator)
        self.projection: nn.Module = nn.Identity()
        if self.outline.width != config.embed_dim:
            self.projection = linear(
                self.outline.width, config.embed_dim, generator=generator
            )
        self.freeze_pretrained()

    @classmethod
    def check(cls, config: ModelConfig, image_size: int) -> None:
        """Make sure that the network takes images of its size, and has the layers."""
        settings = _settings(config.encoder_settings)
        side = _side(config.encoder, settings)
        about = outline(config.encoder, side)
        if settings.train == "last" or settings.layer_decay < 1:
            layer_numbers(create_empty(config.encoder, side), about, coarse=True)

    @classmethod
    def check_weights(cls, config: ModelConfig) -> None:
        """Make sure that the weights are there, as far as that needs no network."""
        check_weights(config.encoder, _settings(config.encoder_settings).weights)

    @classmethod
    def defaults(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the width of the tokens, and timm's view of the images."""
        name = config["encoder"]
        side = _side(name, _settings(config.get("encoder_settings") or {}))
        about = data_config(name)
        return {
            "model": {"embed_dim": outline(name, side).width},
            "preprocessing": {
                "mean": list(about["mean"]),
                "std": list(about["std"]),
                "image_size": side,
                "resize": math.floor(side / about["crop_pct"]),  # timm's rounding
            },
        }

    @classmethod
    def is_fixed(cls, config: ModelConfig) -> bool:
        """Return whether the network is pretrained and stays so."""
        settings = _settings(config.encoder_settings)
        return settings.train == "frozen" and settings.weights != "none"

    def images_at_once(self) -> int:
        """Return as many as 16 images of 224 pixels are, of some 10 MiB each."""
        return max(1, round(_PIXELS_AT_ONCE / self.side**2))

    @classmethod
    def weights_file(cls, config: ModelConfig) -> Path | None:
        """Return the path that the settings name."""
        weights = _settings(config.encoder_settings).weights
        return None if weights in _NAMED else Path(weights).expanduser()

    def load_weights(self) -> None:
        """Load the weights that the settings name."""
        if self.settings.weights == "none":
            return
        expected = self.backbone.state_dict()
        weights = read_weights(self.name, self.settings.weights, expected)
        self.backbone.load_state_dict(fitted(weights, self.name, self.side, expected))
        self.origin = {
            "weights": self.settings.weights,
            "source": weights.source,
            "licence": weights.licence,
            "sha256": weights.sha256,
        }

    def freeze_pretrained(self) -> None:
        """Freeze what the settings keep, and what no token depends on."""
        trained: frozenset[str] = frozenset()
        if self.settings.train == "all":
            trained = self.outline.used
        elif self.settings.train == "last":
            trained = last_stage(self.backbone, self.outline)
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name in trained)
        self.train(self.training)

    def learning_rate_scales(self) -> Mapping[nn.Parameter, float]:
        """Return the factors of the network's own parameters that train."""
        scale, decay = self.settings.learning_rate_scale, self.settings.layer_decay
        parameters = {
            name: parameter
            for name, parameter in self.backbone.named_parameters()
            if parameter.requires_grad
        }
        if decay == 1:
            return dict.fromkeys(parameters.values(), scale) if scale != 1 else {}
        layers = layer_numbers(self.backbone, self.outline, coarse=False)
        last = max(layers.values())
        return {
            parameter: scale * decay ** (last - layers[name])
            for name, parameter in parameters.items()
        }

    def train(self, mode: bool = True) -> TimmEncoder:
        """Set the mode; modules whose parameters are all frozen stay in evaluation."""
        super().train(mode)
        if mode:
            for module in self.backbone.modules():
                flags = [p.requires_grad for p in module.parameters()]
                if flags and not any(flags):
                    module.eval()
        return self

    def embed(self, images: Tensor) -> Tensor:
        """Return the network's tokens (B, N, W) of normalised images (B, C, S, S)."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        if images.shape[-1] != self.side:
            images = F.interpolate(
                images, size=(self.side, self.side), mode="bicubic", antialias=True
            )
        # Convolutions of a CPU take a third less time with the channels last.
        images = images.contiguous(memory_format=torch.channels_last)
        return to_tokens(self.backbone.forward_features(images), self.outline)

    def project(self, tokens: Tensor) -> Tensor:
        """Bring tokens (B, N, W) to the width D of the decoder."""
        return self.projection(tokens)

    def forward(
        self, images: Tensor, keep: Sequence[Tensor | None] | None = None
    ) -> tuple[Tensor, ...]:
        """Return tokens (B, N, D), alone.

        Args:
            images: (B, C, S, S), normalised; or (B, N, W), tokens of :meth:`embed`.
            keep: empty, since no block's residuals are dropped.
        """
        tokens = images if images.ndim == 3 else self.embed(images)
        return (self.project(tokens),)


def _settings(values: Mapping[str, Any]) -> TimmSettings:
    return validated(TimmSettings, values, "model.encoder_settings")


def _side(name: str, settings: TimmSettings) -> int:
    return settings.input_size or int(data_config(name)["input_size"][-1])
