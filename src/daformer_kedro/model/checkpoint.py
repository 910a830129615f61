"""A model as plain data: weights and metadata needed to build it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from daformer_kedro.config import ModelConfig, PreprocessingConfig, validated
from daformer_kedro.errors import InputError
from daformer_kedro.methods import classifier_class
from daformer_kedro.model.daformer import DAFormer

_OLDER_NAMES = (
    (re.compile(r"^(?=patch_embed\.|pos_embed$)"), "encoder."),
    (re.compile(r"^encoder\.(?=\d)"), "encoder.blocks."),
    (re.compile(r"^class_means$"), "closed_form.means"),
)
"""Names of weights in checkpoints of earlier versions, and today's."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name, and what describes the network around them.

    Attributes:
        weights: name to tensor, on the CPU.
        description: JSON values alone: ``model`` and ``preprocessing`` (sections of the
            parameters), ``image_size``, ``in_channels``, ``task_sizes``,
            ``class_names`` (in class order), ``divergence`` (whether the auxiliary
            head is there) and, of an encoder that began with pretrained weights,
            ``encoder`` (their setting, source, licence and SHA-256); and
            ``closed_form``, the class of what classifies in the heads' place, if any.
    """

    weights: Mapping[str, Tensor]
    description: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        model: DAFormer,
        *,
        preprocessing: PreprocessingConfig,
        class_names: tuple[str, ...],
    ) -> Checkpoint:
        """Take a model apart; the weights are copied to the CPU.

        Args:
            model: any number of tasks learnt.
            preprocessing: the normalisation it was trained with.
            class_names: names of the classes it knows, in class order.
        """
        weights = {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in model.state_dict().items()
        }
        description = {
            "model": asdict(model.config),
            "preprocessing": asdict(preprocessing),
            "image_size": model.image_size,
            "in_channels": model.in_channels,
            "task_sizes": list(model.task_sizes),
            "class_names": list(class_names),
            "divergence": model.divergence_head is not None,
        }
        if model.encoder.origin is not None:
            description["encoder"] = dict(model.encoder.origin)
        if model.closed_form is not None:
            description["closed_form"] = type(model.closed_form).__name__
        return cls(weights, description)

    @property
    def preprocessing(self) -> PreprocessingConfig:
        """The normalisation that the model was trained with."""
        return validated(
            PreprocessingConfig, self.description["preprocessing"], "preprocessing"
        )

    def build(self, device: torch.device | str = "cpu") -> DAFormer:
        """Build the model again, in evaluation mode, from this alone.

        Raises:
            InputError: the weights do not fit the description.
        """
        about = self.description
        model = DAFormer(
            validated(ModelConfig, about["model"], "model"),
            image_size=about["image_size"],
            in_channels=about["in_channels"],
            task_sizes=about["task_sizes"],
            generator=torch.Generator(),
            divergence=about["divergence"],
        )
        model.encoder.origin = about.get("encoder")
        weights = _current_names(self.weights)
        model.closed_form = _empty_closed_form(about.get("closed_form"), weights)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(f"the checkpoint's weights do not fit: {error}") from error
        return model.to(device).eval()


def _empty_closed_form(
    name: str | None, weights: Mapping[str, Tensor]
) -> nn.Module | None:
    """Make the classifier that stands in the heads' place, to load its weights into.

    Args:
        name: of its class; ``None`` in models without one and in older checkpoints.
        weights: of the whole model, by today's names.
    """
    tensors = {
        key.removeprefix("closed_form."): torch.empty_like(value)
        for key, value in weights.items()
        if key.startswith("closed_form.")
    }
    if not tensors:
        return None
    older = "NearestMeans" if "means" in tensors else "LinearClassifier"
    return classifier_class(name or older)(**tensors)


def _current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of older checkpoints; others keep their names."""
    renamed = {}
    for older_name, value in weights.items():
        name = older_name
        for pattern, prefix in _OLDER_NAMES:
            name = pattern.sub(prefix, name)
        renamed[name] = value
    return renamed
