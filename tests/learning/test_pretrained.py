"""Training of a network of timm: what is frozen stays, what is scaled moves less."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import Tensor

from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer

SETTINGS = LearningSettings(
    training=TrainingConfig(
        epochs=2,
        batch_size=8,
        learning_rate=0.1,
        warmup_epochs=0,
        device="cpu",
        precision="float32",
        sharpness=SharpnessConfig(rho=0.05),
    ),
    losses=LossesConfig(),
    augmentation=AugmentationConfig(),
    preprocessing=PreprocessingConfig(),
    seed=0,
)


def new_model(**settings: object) -> DAFormer:
    config = ModelConfig(
        encoder="test_efficientnet",
        encoder_settings={"input_size": 32, **settings},
        embed_dim=16,
        num_heads=2,
    )
    return DAFormer(config, image_size=8, in_channels=1, task_sizes=[2])


def data() -> TaskImages:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (16, 1, 8, 8), generator=generator)
    return TaskImages(images.to(torch.uint8), torch.arange(16) % 4)


def changes(model: DAFormer, before: dict[str, Tensor]) -> dict[str, float]:
    """Largest change of each tensor of the network that has changed."""
    found = {}
    for name, value in model.encoder.backbone.state_dict().items():
        change = float((value - before[name]).abs().max())
        if change and "num_batches" not in name:
            found[name] = change
    return found


def learn(model: DAFormer) -> dict[str, float]:
    """Train a second task beside its teacher; return what changed."""
    teacher = copy.deepcopy(model).eval()
    model.add_task(2, generator=torch.Generator().manual_seed(1))
    before = copy.deepcopy(model.encoder.backbone.state_dict())
    train_task(model, data(), SETTINGS, teacher=teacher)
    return changes(model, before)


@pytest.mark.parametrize(
    ("train", "changed"),
    [("frozen", r"never"), ("last", r"blocks\.4\.|conv_head|bn2"), ("all", r".")],
)
def test_frozen_parts_and_their_statistics_stay(train: str, changed: str) -> None:
    model = new_model(train=train)
    found = learn(model)
    names = model.encoder.backbone.state_dict()
    expected = {name for name in names if re.match(changed, name)}
    assert set(found) == {name for name in expected if "num_batches" not in name}


def test_finetuning_leaves_all_of_it_as_it_is() -> None:
    model = new_model(train="all")
    model.add_task(2, generator=torch.Generator().manual_seed(1))
    before = copy.deepcopy(model.encoder.backbone.state_dict())
    finetuning = FinetuningConfig(epochs=1, batch_size=8, learning_rate=0.1)
    finetune_on_memory(model, data(), SETTINGS, finetuning)
    assert changes(model, before) == {}


def test_a_scaled_rate_moves_the_network_less() -> None:
    full, scaled = learn(new_model()), learn(new_model(learning_rate_scale=1e-3))
    for name in ("conv_stem.weight", "conv_head.weight"):
        assert 0 < scaled[name] < full[name] / 100
