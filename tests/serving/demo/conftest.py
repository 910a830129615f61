"""The demo's server, and models that know less than others."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.serving import Classifier, ExemplarBank, ServedModel
from daformer_kedro.serving.demo import demo_app


@pytest.fixture(scope="session")
def client(classifier: Classifier) -> TestClient:
    """A client of a server with the small model."""
    return TestClient(demo_app(classifier), base_url="http://127.0.0.1")


@pytest.fixture(scope="session")
def without_exemplars(model: ServedModel) -> Classifier:
    """A model of a method that keeps no image; test images are there to try."""
    assert model.bank is not None
    empty = torch.empty(0, 8, 8, 3, dtype=torch.uint8)
    known = ExemplarBank.of(
        torch.empty(0, 0),
        torch.empty(0),
        empty,
        model.bank.examples,
        model.bank.example_targets,
    )
    return Classifier(replace(model, bank=known, threshold=None))


@pytest.fixture(scope="session")
def with_class_means(model: ServedModel) -> Classifier:
    """A model that keeps the mean embedding of each class, and no image."""
    assert model.bank is not None
    means = model.bank.embeddings.float().view(7, 2, -1).mean(dim=1)
    known = ExemplarBank.of(
        means,
        torch.arange(7),
        torch.empty(0, 8, 8, 3, dtype=torch.uint8),
        model.bank.examples,
        model.bank.example_targets,
    )
    return Classifier(replace(model, bank=known))


@pytest.fixture(scope="session")
def without_dual_attention() -> Classifier:
    """DyTox's decoder, and nothing known of the model."""
    network = DAFormer(
        ModelConfig(
            embed_dim=16, depth=2, num_heads=2, patch_size=4, decoder="task_attention"
        ),
        image_size=8,
        in_channels=1,
        task_sizes=[2],
        generator=torch.Generator().manual_seed(0),
    )
    preprocessing = PreprocessingConfig(mean=(0.5,), std=(0.2,))
    checkpoint = Checkpoint.of(
        network, preprocessing=preprocessing, class_names=("<b>one</b>", "two")
    )
    return Classifier(ServedModel("grey", checkpoint))


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """``encoded(image, "JPEG", …)`` as the bytes of a file."""

    def encode(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode
