"""An optimisation step that is recorded and replayed.

Without a GPU a tape stands for the CUDA graph: it records the operations of a step,
forward and backward, and does them again on the same tensors, without Python.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning import graph, trainer, training
from daformer_kedro.learning.graph import CudaRecorder, GraphedStep, StepInput
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.objectives.knn_distillation import KNNDistillation
from daformer_kedro.objectives.neighbourhood import find_neighbours
from daformer_kedro.storage.state_file import StateFile

HAS_GPU = torch.cuda.is_available()
ON_GPU = pytest.mark.skipif(not HAS_GPU, reason="CUDA graphs: this machine has no GPU")
CPU = torch.device("cpu")


class Tape(TorchDispatchMode):
    """Records operations; afterwards nothing has happened, as with a CUDA graph."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.generators: dict[int, tuple[torch.Generator, Tensor]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if "_local_scalar_dense" in str(func):
            raise RuntimeError("a value was read while the step was recorded")
        generator = kwargs.get("generator")
        if generator is not None:
            self.generators.setdefault(
                id(generator), (generator, generator.get_state())
            )
        if func._schema.is_mutable:
            for tensor in _written(func, args, kwargs):
                self.before.setdefault(id(tensor), (tensor, tensor.detach().clone()))
        result = func(*args, **kwargs)
        places = {_place(leaf) for leaf in tree_leaves((args, kwargs))} - {None}
        is_view = not func._schema.is_mutable and _place(result) in places
        if not is_view:
            self.operations.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        """Put everything back that the recording has changed."""
        with torch.no_grad():
            for tensor, value in reversed(self.before.values()):
                tensor.copy_(value)
        for generator, state in self.generators.values():
            generator.set_state(state)

    def replay(self) -> None:
        """Do the operations again, each result where it was."""
        with torch.no_grad():
            for func, args, kwargs, before in self.operations:
                results = tree_leaves(func(*args, **kwargs))
                for old, new in zip(tree_leaves(before), results, strict=True):
                    if torch.is_tensor(old) and old is not new:
                        old.copy_(new)


def _place(value: Any) -> int | None:
    """Address of a tensor's memory; "reshape" may return a view and may not."""
    return value.untyped_storage().data_ptr() if torch.is_tensor(value) else None


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    written = []
    for argument, value in zip(func._schema.arguments, args, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += tree_leaves(value)
    for argument in func._schema.arguments:
        is_written = argument.alias_info is not None and argument.alias_info.is_write
        if argument.name in kwargs and is_written:
            written += tree_leaves(kwargs[argument.name])
    return [tensor for tensor in written if torch.is_tensor(tensor)]


class TapeRecorder:
    """Stands for :class:`CudaRecorder` on a CPU."""

    made: list[TapeRecorder]

    def __init__(self, optimiser: torch.optim.Optimizer, generator: Any = None) -> None:
        self.optimiser = optimiser
        self.num_warm_ups = self.num_replays = 0
        self.made.append(self)

    def warm_up(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        self.num_warm_ups += 1
        return work()

    def record(self, work: Callable[[], dict[str, Tensor]]) -> Any:
        tape = Tape()
        with tape:
            results = work()
        tape.undo()

        def replay() -> None:
            self.num_replays += 1
            tape.replay()

        return results, replay


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[TapeRecorder]:
    """Have trainings on the CPU replay tapes, with rates as tensors, as on a GPU."""
    made: list[TapeRecorder] = []
    monkeypatch.setattr(TapeRecorder, "made", made, raising=False)
    monkeypatch.setattr(trainer, "CudaRecorder", TapeRecorder)
    monkeypatch.setattr(training, "wants_graph", lambda *_: True)
    # There what consists of other operations reaches a tape before autocast does them.
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    return made


@pytest.fixture(autouse=True)
def rates_are_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "daformer_kedro.learning.optimisation._as_rate",
        lambda rate, device: torch.full((), rate, device=device),
    )


def settings(**changes: Any) -> LearningSettings:
    """Everything that draws or keeps something between steps."""
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 0.02, "clip_norm": 1.0}
    options |= {"sharpness": SharpnessConfig(rho=0.5), "compile": "off"}
    return LearningSettings(
        training=TrainingConfig(**options | changes),
        losses=LossesConfig(),
        augmentation=AugmentationConfig(
            horizontal_flip=0.5, random_erasing=0.3, mixup_alpha=0.8, cutmix_alpha=1.0
        ),
        preprocessing=PreprocessingConfig(mean=(0.3,), std=(0.4,)),
        seed=3,
    )


def train(
    chosen: LearningSettings, state: StateFile | None = None, device: Any = CPU
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, 1, 8, 8), generator=generator)
    data = TaskImages(
        images.to(torch.uint8).to(device), (torch.arange(40) % 4).to(device)
    )
    features = torch.randn(40, 16, generator=generator).to(device)
    model = model_of([2, 2]).to(device)
    records = train_task(
        model,
        data,
        chosen,
        teacher=model_of([2]).to(device),
        features=features,
        neighbours=find_neighbours(features, 3),
        state=state,
    )
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    return {"weights": weights, "losses": [record.losses for record in records]}


def model_of(task_sizes: list[int]) -> DAFormer:
    config = ModelConfig(embed_dim=16, depth=3, num_heads=2, patch_size=2)
    return DAFormer(
        config,
        image_size=8,
        in_channels=1,
        task_sizes=task_sizes,
        divergence=len(task_sizes) > 1,
    )


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["losses"] == other["losses"]
    assert all(
        torch.equal(value, other["weights"][name])
        for name, value in one["weights"].items()
    )


@pytest.mark.parametrize("scope", ["dataset", "batch"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_replayed_steps_are_ordinary_ones_to_the_bit(
    taped: list[TapeRecorder],
    monkeypatch: pytest.MonkeyPatch,
    scope: Any,
    precision: Any,
) -> None:
    losses = LossesConfig(knn_distillation=KNNDistillation(scope=scope))
    chosen = replace(settings(precision=precision), losses=losses)
    replayed = train(chosen)
    (recorder,) = taped
    # Three epochs of five batches; the first three are ordinary steps.
    assert (recorder.num_warm_ups, recorder.num_replays) == (3, 12)
    monkeypatch.setattr(training, "wants_graph", lambda *_: False)
    assert_same(replayed, train(chosen))


def test_finetuning_is_replayed_too(taped: list[TapeRecorder]) -> None:
    model = model_of([2, 2])
    model.remove_divergence_head()
    data = TaskImages(torch.zeros(16, 1, 8, 8, dtype=torch.uint8), torch.arange(16) % 4)
    finetune_on_memory(model, data, settings(), FinetuningConfig(3, 8))
    assert taped[0].num_replays == 3


class StopsAfter:
    """Crashes at the end of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch(self, record: EpochRecord) -> None:
        if record.epoch == self.epoch:
            raise MemoryError


def test_a_replayed_training_resumes_to_the_same_bits(
    taped: list[TapeRecorder], tmp_path: Path
) -> None:
    chosen = settings(save_every=1)
    state = StateFile(tmp_path / "training.state", "key")
    with pytest.raises(MemoryError), observed_by(StopsAfter(1)):
        train(chosen, state)
    assert_same(train(chosen, state), train(chosen))
    assert [recorder.num_replays for recorder in taped] == [7, 2, 12]


def test_a_step_that_cannot_be_recorded_stays_ordinary_and_says_so_once(
    taped: list[TapeRecorder],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(self: TapeRecorder, work: Any) -> Any:
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    graph._warn.cache_clear()
    chosen = settings()
    with monkeypatch.context() as patch:
        patch.setattr(TapeRecorder, "record", fails)
        ordinary = [train(chosen) for _ in range(2)]
    (said,) = caplog.messages
    assert said.startswith("an optimisation step cannot be a CUDA graph here, training")
    assert said.endswith("training.graph=off): operation not permitted")
    assert_same(ordinary[0], train(chosen))


def test_a_value_that_is_read_in_a_step_is_found(
    taped: list[TapeRecorder],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    graph._warn.cache_clear()
    step = trainer.Trainer._step

    def reads(self: trainer.Trainer, given: StepInput) -> dict[str, Tensor]:
        found = step(self, given)
        found["total"].item()
        return found

    monkeypatch.setattr(trainer.Trainer, "_step", reads)
    with caplog.at_level(logging.WARNING):
        train(settings())
    assert "a value was read while the step was recorded" in caplog.text


def test_results_are_not_those_of_the_step_before() -> None:
    class Copies:
        """Replays a product."""

        def warm_up(self, work: Any) -> Any:
            return work()

        def record(self, work: Any) -> Any:
            results = work()
            return results, lambda: results["x"].copy_(work()["x"])

    graphed = GraphedStep(Copies())
    sums = torch.zeros(())
    for number in range(6):
        given = StepInput(*(torch.full((), float(number)) for _ in range(3)))
        found = graphed(lambda g: {"x": g.rows * g.images + g.mixing}, given)
        assert float(found["x"]) == number**2 + number
        sums += found["x"]
    assert graphed.is_recorded
    assert float(sums) == 70  # 0 + 2 + 6 + 12 + 20 + 30


@pytest.mark.parametrize(
    ("setting", "device", "num_ranks", "expected"),
    [
        ("auto", "cuda", 1, True),
        ("auto", "cuda", 2, False),
        ("auto", "cpu", 1, False),
        ("off", "cuda", 1, False),
    ],
)
def test_graphs_are_for_one_gpu(
    setting: str, device: str, num_ranks: int, expected: bool
) -> None:
    assert graph.wants_graph(setting, torch.device(device), num_ranks) is expected


@pytest.mark.gpu
@ON_GPU
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cuda_graph_is_the_ordinary_step_to_the_bit(
    precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = []
    record = CudaRecorder.record

    def noted(self: CudaRecorder, work: Any) -> Any:
        recorded.append(self)
        return record(self, work)

    monkeypatch.setattr(CudaRecorder, "record", noted)
    gpu = torch.device("cuda", 0)
    replayed = train(settings(precision=precision), device=gpu)
    assert len(recorded) == 1
    assert_same(replayed, train(settings(precision=precision, graph="off"), device=gpu))


@pytest.mark.gpu
@ON_GPU
def test_a_training_by_cuda_graphs_resumes_to_the_same_bits(tmp_path: Path) -> None:
    gpu = torch.device("cuda", 0)
    state = StateFile(tmp_path / "training.state", "key")
    chosen = settings(save_every=1)
    with pytest.raises(MemoryError), observed_by(StopsAfter(1)):
        train(chosen, state, gpu)
    assert_same(train(chosen, state, gpu), train(chosen, device=gpu))


@pytest.mark.gpu
@ON_GPU
def test_a_failed_recording_leaves_generator_and_training_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = torch.device("cuda", 0)
    expected = train(settings(graph="off"), device=gpu)
    step, calls = trainer.Trainer._step, []

    def reads(self: trainer.Trainer, given: StepInput) -> dict[str, Tensor]:
        calls.append(given)
        found = step(self, given)
        if torch.cuda.is_current_stream_capturing():
            found["total"].item()
        return found

    monkeypatch.setattr(trainer.Trainer, "_step", reads)
    assert_same(train(settings(), device=gpu), expected)
    assert len(calls) == 16  # fifteen steps, and the recording
