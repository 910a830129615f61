"""The textbook's model computes what the package's does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from daformer_kedro.model.freezing import freeze_for_training
from daformer_kedro.model.reference import (
    from_reference_state_dict,
    own_name,
)
from daformer_kedro.objectives import Batch, LossesConfig, Objective, terms_of
from daformer_kedro.objectives.knn_distillation import KNNDistillation

FILE = Path(__file__).parents[2] / "benchmarks" / "baseline.py"


@pytest.fixture(scope="module")
def baseline() -> ModuleType:
    spec = importlib.util.spec_from_file_location("baseline", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    import sys

    sys.modules["baseline"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("task_sizes", [[3], [2, 3, 2]])
def test_the_fast_and_the_plain_path_compute_the_same(
    baseline: ModuleType, task_sizes: list[int]
) -> None:
    torch.manual_seed(0)
    sizes = baseline.Sizes(
        image_size=12, patch_size=3, embed_dim=24, depth=3, num_heads=4
    )
    plain = baseline.PlainDAFormer(sizes, task_sizes)
    plain.freeze_old_tasks()
    plain_teacher = own_teacher = None
    if len(task_sizes) > 1:
        plain_teacher = baseline.PlainDAFormer(sizes, task_sizes[:-1])
        own_teacher = from_reference_state_dict(plain_teacher.state_dict()).eval()
    own = from_reference_state_dict(plain.state_dict()).eval()  # no stochastic depth
    freeze_for_training(own)
    images = torch.randn(5, 3, 12, 12)
    targets = torch.rand(5, sum(task_sizes))

    expected = baseline.training_loss(plain, plain_teacher, images, targets)
    expected.backward()
    terms = terms_of(LossesConfig(knn_distillation=KNNDistillation(weight=0.0)))
    given = {"divergence_head", "teacher"} if own_teacher else set()
    objective = Objective(terms, frozenset(given))
    with torch.no_grad():
        teacher_output = None if own_teacher is None else own_teacher(images)
    batch = Batch.unmixed(
        own(images),
        targets,
        torch.arange(5),
        teacher=teacher_output,
        num_old_classes=sum(task_sizes[:-1]),
        num_old_tasks=len(task_sizes) - 1,
    )
    total = torch.stack(tuple(objective(batch).values())).sum()
    total.backward()

    assert total.item() == pytest.approx(expected.item(), abs=1e-6)
    gradients = dict(own.named_parameters())
    compared = 0
    for name, parameter in plain.named_parameters():
        ours = gradients[str(own_name(name))].grad
        if parameter.grad is None:
            assert ours is None
            continue
        assert ours is not None
        assert torch.allclose(
            ours.flatten(), parameter.grad.flatten(), atol=1e-6, rtol=1e-4
        )
        compared += 1
    assert compared > 40
