"""Compiled blocks; a backend that runs eagerly stands for the compiler."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch._dynamo import utils as dynamo

from daformer_kedro.config import ModelConfig
from daformer_kedro.learning import compilation
from daformer_kedro.learning.compilation import (
    compile_encoder,
    is_compiled,
    wants_compilation,
)
from daformer_kedro.model import DAFormer

BATCH = 3


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compilation, "_refused", set())
    torch.compiler.reset()
    dynamo.counters.clear()
    yield
    torch.compiler.reset()


def new_model() -> DAFormer:
    config = ModelConfig(
        patch_size=4, embed_dim=16, depth=4, num_heads=2, stochastic_depth=0.0
    )
    return DAFormer(config, image_size=8, in_channels=1, task_sizes=[2])


def step(model: DAFormer) -> torch.Tensor:
    images = torch.linspace(-1, 1, BATCH * 64).view(BATCH, 1, 8, 8)
    logits = model(images).logits
    logits.sum().backward()
    return logits.detach()


def test_compiled_blocks_compute_the_same() -> None:
    model = new_model()
    plain = copy.deepcopy(model)
    assert compile_encoder(model, BATCH, nullcontext(), backend="aot_eager")
    assert is_compiled(model)
    assert not is_compiled(plain)
    torch.testing.assert_close(step(model), step(plain))
    for ours, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, other.grad)
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_an_encoder_without_blocks_is_left_alone() -> None:
    config = ModelConfig(encoder="test_efficientnet", embed_dim=16, num_heads=2)
    model = DAFormer(config, image_size=8, in_channels=1, task_sizes=[2])
    before = copy.deepcopy(model.state_dict())
    assert not compile_encoder(model, BATCH, nullcontext(), backend="aot_eager")
    assert not is_compiled(model)
    for name, value in model.state_dict().items():  # statistics of the batch too
        assert torch.equal(value, before[name]), name


def test_what_is_compiled_serves_every_block_and_task() -> None:
    for _ in range(3):
        model = new_model()
        compile_encoder(model, BATCH, nullcontext(), backend="aot_eager")
        step(model)
        model.add_task(3)
        step(model)
    assert dynamo.counters["stats"]["unique_graphs"] == 1


def test_a_teacher_needs_no_gradients() -> None:
    teacher = new_model().eval()
    assert compile_encoder(
        teacher, BATCH, nullcontext(), trains=False, backend="aot_eager"
    )
    with torch.inference_mode():
        teacher(torch.zeros(BATCH, 1, 8, 8))
    assert dynamo.counters["stats"]["unique_graphs"] == 1


def test_without_a_compiler_training_goes_on_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("no compiler here")

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            model = new_model()
            assert not compile_encoder(model, BATCH, nullcontext(), backend=broken)
            assert not is_compiled(model)
            step(model)
    assert caplog.text.count("torch.compile does not work here") == 1


@pytest.mark.parametrize(
    ("setting", "device", "expected"),
    [("auto", "cuda", True), ("auto", "cpu", False), ("off", "cuda", False)],
)
def test_auto_compiles_on_gpus(setting: str, device: str, expected: bool) -> None:
    assert wants_compilation(setting, torch.device(device)) is expected
