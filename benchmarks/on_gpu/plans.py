"""Choosing how to step and how long to train, from what ``gpu.py check`` found."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TRUSTED = 1e-3
"""Largest relative difference of the loss between a graph's steps and ordinary ones."""

# Batches an epoch of CIFAR-100 in ten tasks with a memory of 2,000, at batch 128: of
# the first task, of a later one, and of finetuning.
FIRST, LATER, FINETUNING = 39, 54, 15
LATER_TASKS, FINETUNING_EPOCHS, _FEWEST_EPOCHS = 9, 20, 5
NUM_TASKS = 1 + LATER_TASKS
_SECONDS_BESIDE = 30  # evaluation and selection, about 3 s a task


@dataclass(frozen=True)
class Pace:
    """A way to step, and its milliseconds with one task and with ten, all included."""

    plan: str
    early: float = math.nan
    late: float = math.nan

    def step(self, task: int) -> float:
        """Return the milliseconds of a step in a task, counted from 0."""
        return self.early + (self.late - self.early) * task / LATER_TASKS

    def epochs_within(self, seconds: float, most: int) -> int:
        """Return epochs per task with which all ten tasks end in time."""
        if math.isnan(self.late):
            return most
        later = sum(self.step(task) for task in range(1, 1 + LATER_TASKS))
        one_epoch = FIRST * self.early + LATER * later
        finetuning = FINETUNING_EPOCHS * FINETUNING * later
        room = 0.93 * seconds - _SECONDS_BESIDE - finetuning / 1e3
        return max(_FEWEST_EPOCHS, min(most, int(room / (one_epoch / 1e3))))


def fastest_pace(results: Path, rho: float, plans: Sequence[str]) -> Pace:
    """Return the way that was fastest with ten tasks; the first if none was timed.

    Graphs count only where they computed what ordinary steps do.

    Args:
        results: ``check.json``, which need not be there.
        rho: of sharpness-aware minimisation after the first task.
        plans: names of the ways to choose from, see ``speed.PLANS``.
    """
    unknown = Pace(plans[0])
    try:
        seen = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return unknown
    timed = seen.get("steps", {})
    trusted = float(seen.get("graph_parity", {}).get("worst", 1.0)) < _TRUSTED
    extra = float(seen.get("augmentation", {}).get("ms_a_step", 0.7))
    paces = []
    for plan in plans:
        late = timed.get(f"{plan} T=10 rho={rho:g}", {}).get("ms")
        early = timed.get(f"{plan} T=1 rho=0", {}).get("ms")
        if late and early and (trusted or "graph" not in plan):
            paces.append(Pace(plan, early + extra, late + extra))
    return min(paces, key=lambda pace: pace.late, default=unknown)
