"""Compiled blocks; a backend that runs eagerly stands for the compiler."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch._dynamo import utils as dynamo

from daformer_kedro.config import (
    AugmentationConfig,
    ModelConfig,
    PreprocessingConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning import compilation, phase_setup
from daformer_kedro.learning.compilation import (
    compile_parts,
    counted_compilations,
    is_compiled,
    wants_compilation,
)
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.objectives.knn_distillation import KNNDistillation

BATCH = 3


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
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
    assert compile_parts(model, BATCH, nullcontext(), backend="aot_eager")
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
    assert not compile_parts(model, BATCH, nullcontext(), backend="aot_eager")
    assert not is_compiled(model)
    for name, value in model.state_dict().items():  # statistics of the batch too
        assert torch.equal(value, before[name]), name


def test_what_is_compiled_serves_every_block_and_task() -> None:
    for _ in range(3):
        model = new_model()
        compile_parts(model, BATCH, nullcontext(), backend="aot_eager")
        step(model)
        model.add_task(3)
        step(model)
    assert dynamo.counters["stats"]["unique_graphs"] == 2  # a block, the decoder


def test_a_teacher_needs_no_gradients() -> None:
    teacher = new_model().eval()
    assert compile_parts(
        teacher, BATCH, nullcontext(), trains=False, backend="aot_eager"
    )
    with torch.inference_mode():
        teacher(torch.zeros(BATCH, 1, 8, 8))
    assert dynamo.counters["stats"]["unique_graphs"] == 2


def test_without_a_compiler_training_continues_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("no compiler here")

    model = new_model()
    with caplog.at_level(logging.WARNING):
        assert not compile_parts(model, BATCH, nullcontext(), backend=broken)
    assert not is_compiled(model)
    step(model)
    assert caplog.text.count("torch.compile does not work here") == 1


@pytest.mark.parametrize(
    ("setting", "device", "expected"),
    [("auto", "cuda", True), ("auto", "cpu", False), ("off", "cuda", False)],
)
def test_auto_compiles_on_gpus(setting: str, device: str, expected: bool) -> None:
    assert wants_compilation(setting, torch.device(device)) is expected


class Counting:
    """A backend that runs eagerly and counts what it is asked to compile."""

    def __init__(self) -> None:
        self.num_asked = 0

    def __call__(self, module: torch.fx.GraphModule, inputs: object) -> object:
        self.num_asked += 1
        return module.forward


def deep_model(task_sizes: list[int]) -> DAFormer:
    config = ModelConfig(
        patch_size=4, embed_dim=16, depth=4, num_heads=2, stochastic_depth=0.2
    )
    model = DAFormer(config, image_size=8, in_channels=1, task_sizes=task_sizes)
    return model.eval()  # as a model that grows comes out of its checkpoint


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Have trainings on this CPU compile, with a backend that counts."""
    counting = Counting()
    monkeypatch.setattr(phase_setup, "wants_compilation", lambda *_: True)
    monkeypatch.setattr(compilation, "_FEWEST_STEPS", 6)
    monkeypatch.setattr(
        phase_setup, "compile_parts", partial(compile_parts, backend=counting)
    )
    return counting


def train(teacher: DAFormer | None, num_images: int = 24, **changes: Any) -> list[int]:
    """Train a task; return how many kinds of input there were when each epoch ended."""
    counts: list[int] = []

    class Observer:
        def on_epoch(self, record: EpochRecord) -> None:
            counts.append(dynamo.counters["stats"]["unique_graphs"])

    images = torch.zeros(num_images, 1, 8, 8, dtype=torch.uint8)
    data = TaskImages(images, torch.arange(num_images) % 2)
    settings = LearningSettings(
        training=TrainingConfig(**{"epochs": 2, "batch_size": 8} | changes),
        losses=LossesConfig(knn_distillation=KNNDistillation(weight=0.0)),
        augmentation=AugmentationConfig(),
        preprocessing=PreprocessingConfig((0.5,), (0.5,)),
        seed=0,
    )
    sizes = [2] if teacher is None else [*teacher.task_sizes, 2]
    with observed_by(Observer()):
        train_task(deep_model(sizes), data, settings, teacher=teacher, validation=data)
    return counts


def test_the_trial_is_the_pass_that_trains(
    backend: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    trial = compilation._try_pass
    tried: list[int] = []

    def noted(model: DAFormer, batch_size: int) -> None:
        trial(model, batch_size)
        tried.append(backend.num_asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "_try_pass", noted)
        train(None)
        train(deep_model([2]), sharpness=SharpnessConfig(rho=0.5))
    # A block and the decoder with gradients, for both tasks, and the teacher's.
    assert tried == [2, 2, 4]
    assert backend.num_asked == 4
    assert "again while it trained" not in caplog.text


def test_validation_does_not_compile(backend: Counting) -> None:
    assert train(None, patience=5) == [2, 2]  # it takes all 24 images at a time


def test_a_short_training_is_not_compiled(backend: Counting) -> None:
    train(None, epochs=1)  # three steps
    assert backend.num_asked == 0


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_compiling_while_training_is_counted_and_said(
    backend: Counting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compilation, "_try_pass", lambda *_: None)
    train(None)
    assert (
        "task 0, train compiled the network again while it trained (times: 2)"
        in caplog.text
    )


def test_many_kinds_of_input_do_not_end_compiling_unnoticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting()

    def work(x: torch.Tensor, number: int) -> torch.Tensor:
        return x + number

    with (
        torch._dynamo.config.patch(automatic_dynamic_shapes=False),
        counted_compilations("task 1, train"),
    ):
        compiled = torch.compile(work, backend=counting)
        for number in range(20):
            compiled(torch.zeros(1), number)
    assert counting.num_asked == 20  # PyTorch's own limit is 8
    monkeypatch.setattr(compilation, "_MOST_KINDS", 20)

    def one_more() -> None:
        with (
            torch._dynamo.config.patch(automatic_dynamic_shapes=False),
            counted_compilations("task 1, train"),
        ):
            compiled(torch.zeros(1), 21)

    with pytest.raises(
        InputError, match=r"(?s)task 1, train.*than 20.*allowed here: off"
    ):
        one_more()
