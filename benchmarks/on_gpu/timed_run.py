"""``gpu.py train``: cifar100_10-10 task by task, within some seconds a call."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

from daformer_kedro.config.run import Config
from daformer_kedro.evaluation.metrics import average_incremental_accuracy
from daformer_kedro.learning import training
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.model.checkpoint_file import read_checkpoint
from on_gpu.packing import NUM_TASKS, unpack
from on_gpu.plans import Pace, fastest_pace
from on_gpu.recipe import configuration
from on_gpu.report import Report
from on_gpu.speed import PLANS
from on_gpu.task_run import OutOfTimeError, Stored, TaskRun, UntilTimeIsOver

_MOST_EPOCHS = 100
_SECONDS_TO_STORE = 5


def train(options: argparse.Namespace) -> None:
    """Train the tasks that time allows; the same call resumes where it stopped."""
    report = Report(options.out, options.seconds)
    pace = _pace(options)
    config = configuration(_overrides(options, pace))
    report.say("plan:", pace, "epochs:", config.training.epochs)
    data = unpack(options.data)
    report.say("tasks with data:", *data.tasks)
    samples = data.samples()
    if options.few:
        groups = samples.groupby(["split", "target"])
        samples = groups.head(options.few).reset_index(drop=True)
    options.run_dir.mkdir(parents=True, exist_ok=True)
    run = TaskRun(
        config,
        data,
        samples,
        device=options.device,
        folder=options.run_dir,
        report=report,
        compile_finetuning=not options.no_compile_finetune,
    )
    interval = UntilTimeIsOver(report)
    with ExitStack() as stack:
        stack.enter_context(observed_by(_Watch(report)))
        stack.enter_context(observed_by(interval))
        stack.enter_context(
            mock.patch.object(training, "SaveInterval", return_value=interval)
        )
        metrics = _all_tasks(run, data.tasks, options.tasks)
    _store(run, metrics, options, pace)


def _pace(options: argparse.Namespace) -> Pace:
    plans = PLANS if options.plan == "auto" else (options.plan,)
    rho = 0.0 if options.schedule == "short" else 3.0
    return fastest_pace(options.checked, rho, tuple(plans))


def _overrides(options: argparse.Namespace, pace: Pace) -> dict[str, Any]:
    plan = PLANS[pace.plan]
    chosen: dict[str, Any] = {"schedule": options.schedule}
    chosen |= {"compile": plan.compiled, "graph": plan.graph}
    if options.epochs == "auto":
        chosen["epochs"] = pace.epochs_within(options.seconds, _MOST_EPOCHS)
    elif options.epochs:
        chosen["epochs"] = int(options.epochs)
    overrides: dict[str, Any] = {"training": chosen}
    for pair in filter(None, options.params.split(",")):
        key, _, value = pair.partition("=")
        *path, last = key.split(".")
        place = overrides
        for section in path:
            place = place.setdefault(section, {})
        place[last] = json.loads(value)
    return overrides


class _Watch:
    """Prints about five epochs of each phase."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_epoch(self, record: EpochRecord) -> None:
        """Print the epoch if it is one of those."""
        is_last = record.epoch + 1 == record.num_epochs
        if record.epoch % max(1, record.num_epochs // 4) and not is_last:
            return
        self._report.say(
            f"task {record.task} {record.phase} {record.epoch + 1}/{record.num_epochs} "
            f"loss {record.losses['total']:.4f} accuracy {record.train_accuracy:.3f} "
            f"{record.seconds:.2f} s {record.images_per_second:,.0f} images/s"
        )


def _all_tasks(
    run: TaskRun, with_data: tuple[int, ...], num_tasks: int
) -> list[dict[str, Any]]:
    """Return the metrics of all tasks so far."""
    previous, exemplars = None, None
    all_metrics: list[dict[str, Any]] = []
    for task in range(min(num_tasks, NUM_TASKS)):
        stored = Stored(run.folder, task)
        if stored.is_finished:
            metrics = json.loads(
                stored.path("metrics.json").read_text(encoding="utf-8")
            )
            previous = stored.load("model")
            exemplars = pd.read_csv(stored.path("exemplars.csv"))
        elif task not in with_data:
            run.report.say(f"no data of task {task}: stop")
            break
        elif run.report.left() < _SECONDS_TO_STORE:
            run.report.say("out of time between tasks: the same call resumes")
            break
        else:
            try:
                previous, exemplars, metrics = run.run(task, previous, exemplars)
            except OutOfTimeError:
                run.report.say(f"out of time in task {task}: the same call resumes")
                break
        all_metrics.append(metrics)
        accuracies = [found["accuracy"] for found in all_metrics]
        run.report.say(
            f"== after task {task}: accuracy {accuracies[-1]:.4f}, average incremental "
            f"{average_incremental_accuracy(accuracies):.4f}, {metrics['seconds']}"
        )
    return all_metrics


def _store(
    run: TaskRun,
    metrics: list[dict[str, Any]],
    options: argparse.Namespace,
    pace: Pace,
) -> None:
    """Write results, history and the last model to the folder of results."""
    config: Config = run.config
    results = {
        "accuracies": [found["accuracy"] for found in metrics],
        "tasks": metrics,
        "schedule": options.schedule,
        "epochs": config.training.epochs,
        "params": options.params,
        "plan": pace.plan,
        "seed": config.seed,
    }
    text = json.dumps(results, default=float)
    (options.out / "train.json").write_text(text, encoding="utf-8")
    paths = sorted(run.folder.glob("task_*_history.csv"))
    if paths:
        history = pd.concat([pd.read_csv(path) for path in paths])
        history.to_csv(options.out / "history.csv", index=False)
    if metrics:
        model = Stored(run.folder, len(metrics) - 1).path("model")
        read_checkpoint(model)  # is it whole?
        _copy_in_parts(model, options.out, options.part_mib * 2**20)


def _copy_in_parts(path: Path, folder: Path, size: int) -> None:
    """Copy a file in parts of at most ``size`` bytes; ``cat`` joins them."""
    content = path.read_bytes()
    for number, start in enumerate(range(0, len(content), size)):
        part = folder / f"{path.name}.safetensors.{number:02d}"
        part.write_bytes(content[start : start + size])
