"""A small model that no run has made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.evaluation.calibration import Calibration
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.serving import Classifier, ExemplarBank, ServedModel

NAMES = ("zebra", "ape", "ärmel", "cat", "dog", "eel", "fox")


@pytest.fixture(scope="session")
def model() -> ServedModel:
    """Seven classes in tasks of four and three, RGB images of eight pixels."""
    network = DAFormer(
        ModelConfig(embed_dim=16, depth=2, num_heads=2, patch_size=4),
        image_size=8,
        in_channels=3,
        task_sizes=[4, 3],
        generator=torch.Generator().manual_seed(0),
    )
    checkpoint = Checkpoint.of(
        network,
        preprocessing=PreprocessingConfig(
            mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), image_size=8, resize=10
        ),
        class_names=NAMES,
    )
    pixels = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (14, 8, 8, 3), dtype=np.uint8)
    )
    plain = Classifier(ServedModel("plain", checkpoint))
    embeddings = plain.answer(pixels.numpy()).embeddings
    targets = torch.arange(14) // 2
    return ServedModel(
        "small",
        checkpoint,
        Calibration(0.5, (0.25, -0.25)),
        threshold=0.1,
        known=ExemplarBank.of(embeddings, targets, pixels, pixels[:5]),
    )


@pytest.fixture(scope="session")
def classifier(model: ServedModel) -> Classifier:
    """The model, ready to use."""
    return Classifier(model)
