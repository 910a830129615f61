"""Networks, steps and clocks that all parts of ``gpu.py check`` share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from daformer_kedro.config import ModelConfig
from daformer_kedro.learning.graph import StepInput
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.trainer import Trainer
from daformer_kedro.model import DAFormer
from on_gpu.recipe import configuration, learning_settings
from on_gpu.report import Report, listed
from on_gpu.trainers import ready_to_step

CLASSES_PER_TASK, IMAGE_SIZE = 10, 32
_TINY = {"embed_dim": 24, "depth": 3, "num_heads": 4}
_NUM_LONGEST = 12

Action = Callable[[], Any]


class Bench:
    """A device to measure on.

    Args:
        device: ``cuda`` or ``cpu``.
        tiny: small networks and batches, to try the parts themselves.
        report: where results go.
    """

    def __init__(self, device: str, tiny: bool, report: Report) -> None:
        self.device = torch.device(device)
        self.tiny = tiny
        self.report = report
        self.on_gpu = self.device.type == "cuda"
        self.batch_size = 12 if tiny else 128
        self.num_images = 16 * self.batch_size
        self.rows = torch.arange(self.batch_size, device=self.device)
        self.pixels = self.normal(1)

    def normal(self, seed: int) -> torch.Tensor:
        """Return a batch of normalised images, (B, 3, 32, 32)."""
        generator = torch.Generator().manual_seed(seed)
        shape = (self.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
        return torch.randn(shape, generator=generator).to(self.device)

    def wait(self) -> None:
        """Wait for the device."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def milliseconds(self, action: Action, repetitions: int) -> float:
        """Return the time of an action where many follow each other, as in training."""
        action()
        self.wait()
        started = time.perf_counter()
        for _ in range(repetitions):
            action()
        self.wait()
        return 1e3 * (time.perf_counter() - started) / repetitions

    def host_milliseconds(self, action: Action, repetitions: int) -> float:
        """Return the median time to hand one action to the device."""
        taken = []
        for _ in range(repetitions):
            started = time.perf_counter()
            action()
            taken.append(1e3 * (time.perf_counter() - started))
            self.wait()
        return statistics.median(taken)

    def model(self, num_tasks: int, **form: Any) -> DAFormer:
        """Return a network of the published sizes after some tasks."""
        return DAFormer(
            ModelConfig(**{**(_TINY if self.tiny else {}), **form}),
            image_size=IMAGE_SIZE,
            in_channels=3,
            task_sizes=[CLASSES_PER_TASK] * num_tasks,
            divergence=num_tasks > 1,
        ).to(self.device)

    def trainer(
        self,
        num_tasks: int,
        *,
        compiled: str = "off",
        graph: str = "off",
        rho: float = 0.0,
        precision: str = "bfloat16",
    ) -> Trainer:
        """Return the published recipe's training loop, ready to step."""
        training = {
            "precision": precision,
            "compile": compiled,
            "graph": graph,
            "batch_size": self.batch_size,
            "sharpness": {"rho": rho, "first_task": True},
        }
        finetuning = {"batch_size": self.batch_size}
        config = configuration({"training": training, "finetuning": finetuning})
        generator = torch.Generator().manual_seed(1)
        shape = (self.num_images, 3, IMAGE_SIZE, IMAGE_SIZE)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        num_classes = CLASSES_PER_TASK * num_tasks
        targets = torch.randint(num_classes, (self.num_images,), generator=generator)
        return ready_to_step(
            self.model(num_tasks),
            TaskImages(images.to(self.device), targets.to(self.device)),
            learning_settings(config),
            self.model(num_tasks - 1) if num_tasks > 1 else None,
        )

    def step(self, trainer: Trainer) -> Action:
        """Return one optimisation step as an action."""
        given = self.given(trainer, self.rows, self.pixels)
        return lambda: trainer._take_step(given)

    def given(
        self, trainer: Trainer, rows: torch.Tensor, images: torch.Tensor
    ) -> StepInput:
        """Return a batch as a step takes it."""
        batches = trainer.batches
        (drawn,) = batches.mixing.draw(1, IMAGE_SIZE, batches.generator)
        return StepInput(rows, images, drawn)

    def kernels(self, action: Action, steps: int = 1) -> dict[str, float]:
        """Return kernels of a step, their time and copies, as the profiler sees them.

        Empty on a CPU. The longest kernels are printed.
        """
        if not self.on_gpu:
            return {}
        activities = [ProfilerActivity.CUDA, ProfilerActivity.CPU]
        with profile(activities=activities) as trace:
            action()
            self.wait()
        events = [e for e in trace.events() if e.device_type == DeviceType.CUDA]
        spent: dict[str, float] = {}
        for event in events:
            name, time_us = event.name[:60], event.time_range.elapsed_us()
            spent[name] = spent.get(name, 0.0) + time_us / 1e3 / steps
        longest = sorted(spent.items(), key=lambda item: -item[1])[:_NUM_LONGEST]
        self.report.say("   longest, ms:", listed(dict(longest), ".2f"))
        copies = sum("HtoD" in e.name or "DtoH" in e.name for e in events)
        return {
            "kernels": len(events) / steps,
            "busy_ms": sum(spent.values()),
            "host_copies": copies / steps,
        }


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the norm of the difference over the norm of what is expected."""
    a, e = (t.detach().double().cpu() for t in (actual, expected))
    norm = torch.linalg.vector_norm
    return float(norm(a - e) / norm(e).clamp(min=1e-300))
