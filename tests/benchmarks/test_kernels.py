"""Kernels, bytes and FLOP counted on meta tensors."""

from __future__ import annotations

import pytest
import torch


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


@pytest.mark.parametrize(
    ("num_tasks", "rho", "kernels_at_most", "gigabytes_at_most"),
    [(1, 0.0, 360, 3.0), (10, 3.0, 900, 15.0)],
)
def test_a_published_step_does_not_grow_unnoticed(
    kernels, num_tasks, rho, kernels_at_most, gigabytes_at_most
):
    num_batches = 4  # what is prepared once counts for a quarter
    case = kernels.Case(num_tasks, "bfloat16", rho)
    step, epoch = kernels.count(case, num_batches)

    num_kernels = sum(step.kernels.values()) / num_batches
    assert 300 < num_kernels < kernels_at_most + 10
    assert step.other_bytes / num_batches < 1e9 * gigabytes_at_most
    beside = sum(epoch.kernels.values()) / num_batches - num_kernels
    assert beside < 320  # of four batches, which share the augmentation of sixteen
