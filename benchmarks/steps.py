"""Seconds and memory of one optimisation step, as tasks grow, against the textbook's.

    python benchmarks/steps.py                            # 32 x 32, batch 32
    python benchmarks/steps.py --image-size 224 --patch-size 16 --batch-size 4
    python benchmarks/steps.py --precision float32        # whatever auto would take
    python benchmarks/steps.py --device cuda --batch-size 128
    python benchmarks/steps.py --profile                  # where the time goes

For each number of tasks T, steps of the package (``daformer_kedro.learning.trainer``,
without augmentation and mixing) and of ``benchmarks/baseline.py`` take turns on the
same weights and images; both have a teacher where T > 1. Memory is what the step takes
above the resident set before it, each measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from baseline import PlainDAFormer, Sizes, training_step
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler
from turns import median_ratio, take_turns

from daformer_kedro.learning.chunks import inference_chunks, training_chunks
from daformer_kedro.learning.devices import autocast, resolve_precision
from daformer_kedro.learning.optimisation import make_optimiser
from daformer_kedro.model import DAFormer
from daformer_kedro.model.freezing import freeze_for_training
from daformer_kedro.model.reference import from_reference_state_dict
from daformer_kedro.objectives import Batch, LossesConfig, Objective, terms_of
from daformer_kedro.objectives.knn_distillation import KNNDistillation

LOSSES = terms_of(LossesConfig(knn_distillation=KNNDistillation(weight=0.0)))
LEARNING_RATE = 1e-4
Step = Callable[[], float]
_KINDS = ("matrix products", "fused attention", "the rest")
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def make_steps(options: argparse.Namespace, num_tasks: int) -> dict[str, Step]:
    """A step of each implementation, on the same weights, images and targets."""
    torch.manual_seed(0)
    device = torch.device(options.device)
    sizes = Sizes(options.image_size, options.patch_size)
    task_sizes = [options.classes] * num_tasks
    plain = PlainDAFormer(sizes, task_sizes).to(device)
    plain.freeze_old_tasks()
    plain_teacher = None
    if num_tasks > 1:
        plain_teacher = PlainDAFormer(sizes, task_sizes[:-1]).to(device)
    images = torch.randn(
        options.batch_size, 3, sizes.image_size, sizes.image_size, device=device
    )
    targets = torch.rand(options.batch_size, sum(task_sizes), device=device)
    own, teacher = (
        None if model is None else from_reference_state_dict(model.state_dict())
        for model in (plain, plain_teacher)
    )
    assert own is not None
    return {
        "textbook": _plain_step(plain, plain_teacher, images, targets),
        "package": _own_step(
            own.to(device),
            None if teacher is None else teacher.to(device).eval(),
            images,
            targets,
            options.precision,
        ),
    }


def _plain_step(
    model: PlainDAFormer,
    teacher: PlainDAFormer | None,
    images: torch.Tensor,
    targets: torch.Tensor,
) -> Step:
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=LEARNING_RATE, weight_decay=1e-6)
    return lambda: training_step(model, teacher, optimiser, images, targets)


def _own_step(
    model: DAFormer,
    teacher: DAFormer | None,
    images: torch.Tensor,
    targets: torch.Tensor,
    precision_asked: str,
) -> Step:
    freeze_for_training(model)
    model.eval()  # without stochastic depth, as the other; gradients flow
    optimiser = make_optimiser(model.parameters(), LEARNING_RATE, 1e-6)
    given = set() if teacher is None else {"divergence_head", "teacher"}
    objective = Objective(LOSSES, frozenset(given))
    rows = torch.arange(len(images), device=images.device)
    precision = resolve_precision(
        precision_asked, images.device, model.config.embed_dim
    )

    context = autocast(images.device, precision)
    chunks = training_chunks(model, len(images), images.device, precision)
    teacher_chunks = inference_chunks(
        teacher or model, len(images), images.device, precision
    )

    def step() -> float:
        teacher_output = None
        with torch.inference_mode(), context:
            if teacher is not None:
                teacher_output = teacher(images, chunks=teacher_chunks).float()
        with context:
            student = model(images, chunks=chunks)
        batch = Batch.unmixed(
            student.float(),
            targets,
            rows,
            teacher=teacher_output,
            num_old_classes=sum(model.task_sizes[:-1]),
            num_old_tasks=model.num_tasks - 1,
        )
        terms = objective(batch)
        terms.total.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return 0.0  # read once an epoch, not at every step

    return step


def seconds(
    steps: dict[str, Step], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Durations of steps that take turns, after one of each to warm up."""
    return take_turns(
        {name: _waiting(step, options.device) for name, step in steps.items()},
        options.repetitions,
    )


def _waiting(step: Step, device: str) -> Step:
    def whole() -> float:
        loss = step()
        _synchronise(device)
        return loss

    return whole


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _peak(options: argparse.Namespace) -> float:
    """Bytes that a step takes above what was there before it."""
    step = make_steps(options, options.tasks[0])[options.memory_of]
    if options.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # forget the peak of the set-up
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    """Bytes of a field of this process's status, as Linux keeps it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    words = next(line for line in lines if line.startswith(field)).split()
    return 1024 * float(words[1])


def memory(options: argparse.Namespace, num_tasks: int, name: str) -> float:
    """The same, of a fresh process."""
    words = [sys.executable, __file__, "--memory-of", name, "--tasks", str(num_tasks)]
    for option in (
        "image_size",
        "patch_size",
        "batch_size",
        "classes",
        "device",
        "precision",
    ):
        words += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
    done = subprocess.run(words, check=True, capture_output=True, encoding="utf-8")
    return float(json.loads(done.stdout))


def profile(step: Step, device: str) -> dict[str, float]:
    """Seconds that one step spends in each kind of operation, and its GFLOP.

    FLOP are those of matrix products alone.
    """
    activities = [ProfilerActivity.CPU]
    if device.startswith("cuda"):
        activities.append(ProfilerActivity.CUDA)
    with profiler(activities=activities, with_flops=True) as trace:
        step()
        _synchronise(device)
    spent = dict.fromkeys(_KINDS, 0.0)
    flop, on_gpu = 0, device.startswith("cuda")
    for event in trace.key_averages():
        if event.device_type != DeviceType.CPU:
            continue  # a kernel, whose time the operation that started it has too
        time = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        kind = "the rest"
        if event.key in _PRODUCTS:
            kind, flop = "matrix products", flop + event.flops
        elif event.key.endswith("_attention_forward") or (
            "scaled_dot_product" in event.key
        ):
            kind = "fused attention"
        spent[kind] += time / 1e6
    return {**spent, "GFLOP": flop / 1e9}


def print_profile(options: argparse.Namespace) -> None:
    """Print where the time of one step goes, and what that leaves to be won.

    The whole step is timed without the profiler, which slows many small operations.
    """
    print(f"| T | step | whole | {' | '.join(_KINDS)} | GFLOP/s of the products |")
    print("| --- " * 7 + "|")
    for num_tasks in options.tasks:
        steps = make_steps(options, num_tasks)
        whole = seconds(steps, options)
        traces: dict[str, list[dict[str, float]]] = {name: [] for name in steps}
        for _ in range(options.repetitions):
            for name, step in steps.items():
                traces[name].append(profile(step, options.device))
        for name, taken in traces.items():
            spent = {key: statistics.median(t[key] for t in taken) for key in taken[0]}
            cells = " | ".join(f"{spent[kind]:.2f} s" for kind in _KINDS)
            rate = spent["GFLOP"] / spent["matrix products"]
            median = statistics.median(whole[name])
            print(f"| {num_tasks} | {name} | {median:.2f} s | {cells} | {rate:.0f} |")
        bound = statistics.median(whole["textbook"]) / spent["matrix products"]
        print(
            f"T = {num_tasks}: the ratio is {median_ratio(whole):.2f}, and would be "
            f"{bound:.2f} if all but the package's matrix products took no time",
            flush=True,
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", default="1,10,50")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--patch-size", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--classes", type=int, default=2, help="of each task")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", help="of the package's steps")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.tasks = [int(number) for number in str(options.tasks).split(",")]
    return options


def main() -> None:
    """Print a row for each number of tasks."""
    options = parse()
    if options.memory_of:
        print(json.dumps(_peak(options)))
        return
    if options.profile:
        print_profile(options)
        return
    print("| T | textbook | package | ratio | textbook's memory | package's | ratio |")
    print("| --- " * 7 + "|")
    for num_tasks in options.tasks:
        measured = seconds(make_steps(options, num_tasks), options)
        plain, own = (statistics.median(v) for v in measured.values())
        ratio = median_ratio(measured)
        sizes = [memory(options, num_tasks, name) / 2**30 for name in measured]
        print(
            f"| {num_tasks} | {plain:.2f} s | {own:.2f} s | {ratio:.2f} | "
            f"{sizes[0]:.2f} GiB | {sizes[1]:.2f} GiB | {sizes[0] / sizes[1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
