"""Check of a GPU, and a real run on it within given seconds.

    python benchmarks/gpu.py pack DIR PART [PART ...]   # CIFAR-100 as lossless WebP
    python benchmarks/gpu.py check --seconds 200        # numbers, speed, memory
    python benchmarks/gpu.py train --data PART ... --epochs auto --seconds 480
    python benchmarks/gpu.py check --device cpu --tiny  # does it work here?

``check`` prints, each part by itself so that a failure costs one part: the machine and
its ceilings; the released code's numbers and float64 parity; where a step waits for
the device; augmentation; the textbook's step; the real step as it is, compiled and as
a CUDA graph; whether steps repeat to the bit; candidates for the decoder; what was
aimed at. ``train``
learns cifar100_10-10 by the fastest way that ``check`` found and trusts, stops in time,
and resumes when it is called again. Results lie in ``build/gpu``.

No Kedro and no MLflow are needed: see docs/results/performance.md.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from on_gpu import goals, numbers, pieces, speed
from on_gpu.bench import Bench
from on_gpu.packing import NUM_TASKS, pack
from on_gpu.report import Report
from on_gpu.timed_run import train

from daformer_kedro.errors import InputError

_PARTS: tuple[Callable[[Bench], None], ...] = (
    speed.machine,
    speed.ceilings,
    numbers.released_numbers,
    numbers.parity,
    pieces.synchronisation,
    pieces.augmentation,
    goals.encoder,
    speed.textbook,
    numbers.graph_parity,
    speed.steps,
    speed.float32,
    numbers.repeatable,
    pieces.decoder,
    goals.goals,
)
PARTS = {part.__name__: part for part in _PARTS}
_FEWEST_SECONDS = 5


def check(options: argparse.Namespace) -> bool:
    """Run every part, and return whether none failed.

    Raises:
        InputError: there is no such device.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no GPU; --device cpu --tiny tries the parts")
    bench = Bench(options.device, options.tiny, Report(options.out, options.seconds))
    failed = 0
    for name in options.only:
        if bench.report.left() < _FEWEST_SECONDS:
            bench.report.row(f"no time left for {name}")
            continue
        bench.report.say("--", name)
        try:
            PARTS[name](bench)
        except Exception as error:
            failed += 1
            traceback.print_exc()
            bench.report.keep(name, {"error": repr(error)[:1000]})
            bench.report.row(f"{name} FAILED: {type(error).__name__}: {error}")
        if bench.on_gpu:
            torch.cuda.empty_cache()
    bench.report.finish()
    return failed == 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="CIFAR-100 in folders that can travel")
    packing.add_argument("source", type=Path, metavar="DIR")
    packing.add_argument("folders", type=Path, nargs="+", metavar="PART")
    checking = commands.add_parser("check", help="numbers, speed and memory")
    checking.add_argument("--tiny", action="store_true", help="small networks")
    checking.add_argument("--only", type=_parts, default=list(PARTS), metavar="PARTS")
    training = commands.add_parser("train", help="cifar100_10-10, resumable")
    training.add_argument("--data", type=Path, nargs="+", required=True)
    training.add_argument("--run-dir", type=Path, default=Path("build/gpu/run"))
    training.add_argument("--checked", type=Path, default=Path("build/gpu/check.json"))
    training.add_argument("--schedule", default="short")
    training.add_argument("--epochs", help="a number, or auto: as many as fit")
    training.add_argument("--plan", default="auto", choices=("auto", *speed.PLANS))
    training.add_argument("--params", default="", help="KEY=JSON,...")
    training.add_argument("--tasks", type=int, default=NUM_TASKS, help="only the first")
    training.add_argument("--few", type=int, default=0, help="images of each class")
    training.add_argument("--no-compile-finetune", action="store_true")
    training.add_argument(
        "--part-mib", type=int, default=15, help="of the model's copy"
    )
    for command, seconds in ((checking, 200.0), (training, 480.0)):
        command.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
        command.add_argument("--seconds", type=float, default=seconds)
        command.add_argument("--out", type=Path, default=Path("build/gpu"))
    return parser.parse_args(arguments)


def _parts(names: str) -> list[str]:
    chosen = names.split(",")
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown)}: not a part; allowed: {', '.join(PARTS)}"
        )
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    options = parse(arguments)
    try:
        if options.command == "pack":
            pack(options.source, options.folders, print)
        elif options.command == "train":
            train(options)
        elif not check(options):
            return 1
    except InputError as error:
        raise SystemExit(str(error)) from error
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
