"""Kernels, bytes and FLOP counted on meta tensors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "results" / "gpu.md"
_FIRST_STEP = 30  # kernels, in which the teacher prepares its weights; the mean has 2


@pytest.fixture
def kernels(benchmark_module):
    return benchmark_module("kernels")


@pytest.mark.parametrize("inference", [False, True])
def test_operations_are_counted_by_hand(kernels, inference):
    with kernels.Count() as counted, torch.inference_mode(inference):
        x = torch.empty(8, 4, device="meta")
        weight = torch.empty(3, 4, device="meta")
        y = torch.nn.functional.linear(x, weight)  # one product; its transpose is free
        y.view(24) + torch.empty((), device="meta").expand(24)

    totals = counted.totals
    assert dict(totals.kernels) == {"mm": 1, "add": 1}
    assert totals.flop == 2 * 8 * 4 * 3
    assert totals.product_bytes == 4 * (8 * 4 + 3 * 4 + 8 * 3)
    assert totals.other_bytes == 4 * (24 + 1 + 24)  # what is expanded is read once
    assert totals.seconds == pytest.approx(2 * 2.2e-6)


def test_a_step_has_the_flop_that_pytorch_counts(
    kernels, benchmark_module, monkeypatch, tmp_path
):
    report = benchmark_module("on_gpu.report").Report(tmp_path, 60)
    bench = benchmark_module("on_gpu.bench").Bench("cpu", True, report)
    meta_step = benchmark_module("on_gpu.meta_step")
    monkeypatch.setattr(meta_step, "BATCH_SIZE", bench.batch_size)
    expected = benchmark_module("on_gpu.speed")._flop(bench, 2, 3.0)

    form = {"embed_dim": 24, "depth": 3, "num_heads": 4}
    step, epoch = kernels.count(kernels.Case(2, "float32", 3.0), 1, **form)
    half, _ = kernels.count(kernels.Case(2, "bfloat16", 3.0), 1, **form)

    assert step.flop == half.flop == expected
    assert half.product_bytes < step.product_bytes
    assert sum(half.kernels.values()) > sum(step.kernels.values())  # casts
    assert sum(epoch.kernels.values()) > sum(step.kernels.values())  # augmentation


def stated(num_tasks: int, rho: int) -> tuple[int, float]:
    """Kernels of a step and its GB outside products, as the page has them."""
    row = rf"\| {num_tasks}, {rho} \| bfloat16 \| ([\d,]+) \| [\d.]+ \| ([\d.]+) \|"
    (found,) = re.findall(row, PAGE.read_text(encoding="utf-8"))
    return int(found[0].replace(",", "")), float(found[1])


@pytest.mark.parametrize(
    ("num_tasks", "rho"),
    [
        (1, 0),
        (10, 3),
        *(
            pytest.param(num_tasks, rho, marks=pytest.mark.slow)
            for num_tasks in (1, 2, 5, 10, 50)
            for rho in (0, 3)
            if (num_tasks, rho) not in ((1, 0), (10, 3))
        ),
    ],
)
def test_a_step_has_not_grown(kernels, num_tasks, rho):
    most, most_bytes = stated(num_tasks, rho)
    step, _ = kernels.count(kernels.Case(num_tasks, "bfloat16", float(rho)), 1)
    num_kernels = sum(step.kernels.values())
    assert most - 5 <= num_kernels <= most + _FIRST_STEP
    assert most_bytes - 0.2 < step.other_bytes / 1e9 < most_bytes + 0.2


@pytest.mark.parametrize(
    "form", [{"edition": "M"}, {"decoder": "task_attention"}, {"decoder": "mean"}]
)
def test_backward_passes_read_no_value(kernels, form):
    """Of every decoder: reading one of a meta tensor, or copying it, is an error."""
    form = {"embed_dim": 24, "depth": 3, "num_heads": 4, **form}
    for precision in ("float32", "bfloat16"):
        step, _ = kernels.count(kernels.Case(2, precision, 3.0), 1, **form)
        assert step.kernels["native_layer_norm_backward"] > 0
