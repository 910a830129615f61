"""Parts of ``gpu.py check``: the encoder by itself, and what was aimed at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from daformer_kedro.learning.compilation import compile_parts
from daformer_kedro.learning.devices import autocast
from daformer_kedro.model import DAFormer
from on_gpu.bench import Action, Bench
from on_gpu.plans import FINETUNING, FINETUNING_EPOCHS, FIRST, LATER, NUM_TASKS
from on_gpu.report import listed

PUBLISHED_EPOCHS = 500
SECONDS_BESIDE_A_TASK = 3.0  # evaluation and selection

GOALS = {
    "images_against_textbook_T1": (10.0, "at least"),
    "images_against_textbook_T10": (10.0, "at least"),
    "encoder_of_peak": (0.35, "at least"),
    "published_minutes": (30.0, "at most"),
}


def encoder(bench: Bench) -> None:
    """Time forward and backward pass of the encoder in bfloat16, and its rate."""
    model = bench.model(1).train()
    action = _encoder_pass(bench, model, torch.float32)
    with FlopCounterMode(display=False) as counter:
        action()
    teraflop = counter.get_total_flops() / 1e12
    action = _encoder_pass(bench, model, torch.bfloat16)
    repetitions = 1 if bench.tiny else 20
    found = {"TFLOP": teraflop, "eager_ms": bench.milliseconds(action, repetitions)}
    context = autocast(bench.device, torch.bfloat16)
    if bench.on_gpu and compile_parts(model, bench.batch_size, context):
        found["compiled_ms"] = bench.milliseconds(action, repetitions)
    best = min(value for name, value in found.items() if name.endswith("_ms"))
    found["TFLOPs"] = teraflop / best * 1e3
    peak = bench.report.results.get("ceilings", {}).get("product_8192_TFLOPs")
    found["of_peak"] = found["TFLOPs"] / (peak or math.nan)
    bench.report.keep("encoder", found)
    bench.report.row(f"encoder, forward and backward: {listed(found)}")


def _encoder_pass(bench: Bench, model: DAFormer, precision: torch.dtype) -> Action:
    generator = torch.Generator(bench.device).manual_seed(0)

    def action() -> None:
        keep = model.stochastic_depth(bench.batch_size, 1, generator)
        with autocast(bench.device, precision):
            tokens = model.encoder(bench.pixels, keep.blocks)[-1]
        tokens.float().sum().backward()
        model.zero_grad(set_to_none=True)

    return action


def goals(bench: Bench) -> None:
    """Set what was measured beside what was aimed at."""
    found = reached(bench.report.results)
    bench.report.keep("goals", found)
    for name, (aim, bound) in GOALS.items():
        value = found.get(name)
        seen = "not measured" if value is None else f"{value:.3g}"
        bench.report.row(f"goal {name}: {seen} (asked for: {bound} {aim:g})")


def reached(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the goals' values, of those that were measured, from all parts' results.

    Steps are those of the fastest way at the largest number of tasks.
    """
    found: dict[str, float] = {}
    steps, textbook = results.get("steps", {}), results.get("textbook", {})
    extra = float(results.get("augmentation", {}).get("ms_a_step", 0.0))
    for num_tasks in (1, 10):
        plain = textbook.get(f"textbook T={num_tasks} float32")
        ours = _fastest(steps, f"T={num_tasks} rho=0")
        if plain and ours:
            found[f"images_against_textbook_T{num_tasks}"] = plain / ours
    if "of_peak" in results.get("encoder", {}):
        found["encoder_of_peak"] = float(results["encoder"]["of_peak"])
    first = _fastest(steps, "T=1 rho=0")
    later = {n: _fastest(steps, f"T={n} rho=3") for n in (2, 5, 10)}
    known = {n: ms for n, ms in later.items() if ms is not None}
    if first is not None and 10 in known:
        found["published_minutes"] = published_minutes(first, known, extra)
    return found


def published_minutes(first: float, later: Mapping[int, float], extra: float) -> float:
    """Return the minutes of the published schedule of ``cifar100_10-10``.

    Args:
        first: milliseconds of a step of the first task.
        later: of some numbers of tasks; those between are on the line between them.
        extra: milliseconds of augmentation for each step.
    """
    tasks = range(2, NUM_TASKS + 1)
    steps = np.interp(tasks, sorted(later), [later[n] for n in sorted(later)]) + extra
    milliseconds = PUBLISHED_EPOCHS * (FIRST * (first + extra) + LATER * steps.sum())
    # A step of finetuning has neither teacher nor ascent; it is counted as a whole one.
    milliseconds += FINETUNING_EPOCHS * FINETUNING * steps.sum()
    return float(milliseconds / 1e3 + SECONDS_BESIDE_A_TASK * NUM_TASKS) / 60


def _fastest(steps: Mapping[str, Any], case: str) -> float | None:
    found = [
        timed["ms"]
        for label, timed in steps.items()
        if label.endswith(f" {case}") and "ms" in timed
    ]
    return min(found, default=None)
