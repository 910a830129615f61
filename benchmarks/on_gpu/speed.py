"""Parts of ``gpu.py check``: what the machine can do, and how fast a step is."""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import platform
import subprocess
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import torch
from steps import make_steps
from torch.utils.flop_counter import FlopCounterMode

from on_gpu.bench import Bench
from on_gpu.report import listed

_PRODUCTS = {
    "fc1": (8192, 384, 1536),
    "fc2": (8192, 1536, 384),
    "qk": (8192, 384, 768),
    "fc1_ten_tasks": (81920, 384, 1536),
    "weigh_ten_tasks": (15360, 64, 64, 32),
    "position": (12, 64, 64, 4096),
    "fc1_weight_gradient": (384, 8192, 1536),
}
"""Products of a step at batch 128: (..., m, k, n)."""

_SECONDS_PER_PLAN = 15
_CASES = ((1, 0.0), (10, 3.0), (10, 0.0), (2, 3.0), (5, 3.0))


def machine(bench: Bench) -> None:
    """Say on what all of this was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    found: dict[str, object] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cpu": next(names, platform.machine()),
        "cores": os.cpu_count(),
    }
    if bench.on_gpu:
        found["gpu"] = torch.cuda.get_device_name()
        memory = torch.cuda.get_device_properties(0).total_memory
        found["memory_GiB"] = memory / 2**30
        query = "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm"
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        found["smi"] = done.stdout.strip()
        found["allow_tf32"] = torch.backends.cuda.matmul.allow_tf32
    bench.report.keep("machine", found)
    bench.report.row(str(found))


def ceilings(bench: Bench) -> None:
    """Measure copies, the largest product, the step's own products, and a launch."""
    edge = 256 if bench.tiny else 8192
    found = {"product_8192_TFLOPs": _product_rate(bench, (edge, edge, edge))}
    for name, shape in _PRODUCTS.items():
        found[f"{name}_TFLOPs"] = _product_rate(bench, _shrunk(bench, shape))
    found["fc1_float32_TFLOPs"] = _product_rate(
        bench, _shrunk(bench, _PRODUCTS["fc1"]), torch.float32
    )
    size = 2**20 if bench.tiny else 2**30
    source = torch.empty(size, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    ms = bench.milliseconds(lambda: target.copy_(source), 10)
    found["copy_TB_per_s"] = 2 * size / ms / 1e9
    few = torch.zeros(64, device=bench.device)
    found["launch_us"] = 1e3 * bench.milliseconds(lambda: few.add_(1), 2000)
    bench.report.keep("ceilings", found)
    bench.report.row(f"ceilings: {listed(found)}")


def _shrunk(bench: Bench, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(4, size // 16) for size in shape) if bench.tiny else shape


def _product_rate(
    bench: Bench, shape: tuple[int, ...], dtype: torch.dtype = torch.bfloat16
) -> float:
    """Return TFLOP/s of products that come out of no cache."""
    *batch, m, k, n = shape
    device = bench.device
    pairs = itertools.cycle(
        [
            (
                torch.randn(*batch, m, k, device=device, dtype=dtype),
                torch.randn(*batch, k, n, device=device, dtype=dtype),
            )
            for _ in range(1 if bench.tiny else 3)
        ]
    )
    ms = bench.milliseconds(lambda: torch.matmul(*next(pairs)), 20)
    flop = 2 * m * k * n * torch.Size(batch).numel()
    return flop / ms / 1e9


def textbook(bench: Bench) -> None:
    """Time the steps of ``benchmarks/steps.py``: the textbook's and the package's."""
    found = {}
    for num_tasks in (1,) if bench.tiny else (1, 10):
        for precision in ("float32", "bfloat16"):
            options = argparse.Namespace(
                device=str(bench.device),
                image_size=8 if bench.tiny else 32,
                patch_size=4,
                batch_size=bench.batch_size,
                classes=10,
                precision=precision,
            )
            made = make_steps(options, num_tasks)
            if precision == "bfloat16":
                made.pop("textbook")
            for name, step in made.items():
                label = f"{name} T={num_tasks} {precision}"
                found[label] = bench.milliseconds(step, 1 if bench.tiny else 10)
    bench.report.keep("textbook", found)
    bench.report.row(f"without mixing and ASAM, ms a step: {listed(found)}")


def float32(bench: Bench) -> None:
    """Time the step in float32, which is what the released code trains with."""
    found = {}
    for num_tasks, rho in ((1, 0.0),) if bench.tiny else ((1, 0.0), (10, 3.0)):
        trainer = bench.trainer(num_tasks, rho=rho, precision="float32")
        found[_case(num_tasks, rho)] = bench.milliseconds(bench.step(trainer), 5)
    bench.report.keep("float32", found)
    bench.report.row(f"float32 eager, ms a step: {listed(found)}")


@dataclass(frozen=True)
class StepPlan:
    """A way to take a step."""

    compiled: str = "off"
    graph: str = "off"


PLANS = {
    "eager": StepPlan(),
    "graph": StepPlan(graph="auto"),
    "compiled": StepPlan(compiled="auto"),
    "compiled graph": StepPlan(compiled="auto", graph="auto"),
}


def steps(bench: Bench) -> None:
    """Time the real step of the published recipe in every way that there is."""
    found: dict[str, dict[str, float | str]] = {}
    cases = ((1, 0.0), (2, 3.0)) if bench.tiny else _CASES
    names = PLANS if bench.on_gpu else ("eager", "graph")
    for name, (num_tasks, rho) in itertools.product(names, cases):
        label = f"{name} {_case(num_tasks, rho)}"
        if bench.report.left() < _SECONDS_PER_PLAN:
            bench.report.row(f"no time left for {label}")
            continue
        flop = found.get(f"eager {_case(num_tasks, rho)}", {}).get("TFLOP")
        try:
            found[label] = _timed_step(bench, name, num_tasks, rho, flop)
            bench.report.row(f"{label}: {listed(found[label])}")
        except Exception as error:  # of capture or compiler: the others still count
            traceback.print_exc()
            found[label] = {"error": repr(error)[:500]}
            bench.report.row(f"{label}: FAILED {type(error).__name__}")
        gc.collect()
        if bench.on_gpu:
            torch.cuda.empty_cache()
        bench.report.keep("steps", found)


def _case(num_tasks: int, rho: float) -> str:
    return f"T={num_tasks} rho={rho:g}"


def _timed_step(
    bench: Bench, name: str, num_tasks: int, rho: float, teraflop: float | None
) -> dict[str, float]:
    """Return times, memory and rate of one way; ``teraflop`` where it is known."""
    plan = PLANS[name]
    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    trainer = bench.trainer(
        num_tasks, rho=rho, compiled=plan.compiled, graph=plan.graph
    )
    step = bench.step(trainer)
    for _ in range(1 if bench.tiny else 5):
        step()
    bench.wait()
    found = {"ready_s": time.perf_counter() - started}
    found["ms"] = bench.milliseconds(step, 1 if bench.tiny else 12)
    found["host_ms"] = bench.host_milliseconds(step, 1 if bench.tiny else 3)
    if bench.on_gpu:
        found["peak_GiB"] = torch.cuda.max_memory_allocated() / 2**30
    if plan.graph == "off":
        found |= bench.kernels(step)
    if teraflop is None:
        teraflop = _flop(bench, num_tasks, rho) / 1e12
    found["TFLOP"] = teraflop
    found["TFLOPs"] = teraflop / found["ms"] * 1e3
    peak = bench.report.results.get("ceilings", {}).get("product_8192_TFLOPs")
    found["of_peak"] = found["TFLOPs"] / (peak or float("nan"))
    return found


def _flop(bench: Bench, num_tasks: int, rho: float) -> float:
    """Return FLOP of one step; in float32, as the counter does not see autocast."""
    trainer = bench.trainer(num_tasks, rho=rho, precision="float32")
    with FlopCounterMode(display=False) as counter:
        bench.step(trainer)()
    return float(counter.get_total_flops())
