"""Progress while training, and the results at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from daformer_kedro.config.run import Config
from daformer_kedro.evaluation.summary import format_summary
from daformer_kedro.learning.compilation import wants_compilation
from daformer_kedro.learning.devices import resolve_device, resolve_precision
from daformer_kedro.learning.progress import EpochRecord, subscribe, unsubscribe
from daformer_kedro.reuse.planner import Decision, Plan, current_plan
from daformer_kedro.reuse.runner import RunInterrupted
from daformer_kedro.serving import ServedModel
from daformer_kedro.terminal import print_any_character


class ConsoleHooks:
    """A bar for tasks and one for epochs; a line a phase where there is no terminal."""

    def __init__(self) -> None:
        self._console = Console()
        self._progress: Progress | None = None
        self._tasks: TaskID | None = None
        self._epochs: TaskID | None = None
        self._run_command = "kedro run"
        self._config: Config | None = None
        self._metrics: dict[str, Any] | None = None
        self._faults: pd.Series | None = None
        self._plan: Plan | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the settings, and which environment to name at the end."""
        print_any_character()
        if context.env:
            self._run_command = f"kedro run --env {context.env}"
        self._config = Config.from_parameters(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Start the bars if any task trains."""
        self._metrics = self._faults = None
        self._plan = current_plan()
        if self._plan is not None and self._plan.mode != "anew":
            self._plan.listen(self._on_decision)
        namespaces = {n.namespace for n in pipeline.nodes if n.namespace}
        subscribe(self)
        if namespaces and self._config is not None:
            self._console.print(_place(self._config), highlight=False)
        if not namespaces or not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        self._tasks = self._progress.add_task("tasks", total=len(namespaces), note="")
        self._progress.start()

    def _on_decision(self, decision: Decision) -> None:
        """Say in one line what is reused or computed, and why."""
        self._console.print(
            str(decision), highlight=False, markup=False, soft_wrap=True
        )

    def on_epoch(self, record: EpochRecord) -> None:
        """Advance the bar of epochs, or print a line at the end of a phase."""
        loss = f"loss {record.losses['total']:.4f}"
        title = f"task {record.task} {record.phase}"
        if self._progress is None:
            if record.epoch + 1 == record.num_epochs:
                speed = f"{record.images_per_second:.0f} images/s"
                self._console.print(
                    f"{title}: {record.num_epochs} epochs, {loss}, {speed}"
                )
            return
        if record.epoch == 0 or self._epochs is None:
            if self._epochs is not None:
                self._progress.remove_task(self._epochs)
            self._epochs = self._progress.add_task(
                title, total=record.num_epochs, note=loss
            )
        self._progress.update(self._epochs, completed=record.epoch + 1, note=loss)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Name the model that is used."""
        if isinstance(data, ServedModel):
            self._console.print(
                f"Model: {data.name} ({data.origin})",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Advance the bar of tasks; keep the results for the end."""
        if "metrics" in outputs:
            self._metrics = outputs["metrics"]
        if "inference_table" in outputs:
            self._faults = outputs["inference_table"]["error"]
        for name, value in outputs.items():
            if node.namespace and name == f"{node.namespace}.metrics":
                note = f"accuracy {value['accuracy']:.1%}"
                if self._progress is not None and self._tasks is not None:
                    self._progress.update(self._tasks, advance=1, note=note)
                else:
                    classes = value["num_classes_seen"]
                    self._console.print(
                        f"task {value['task']}: {note} on {classes} classes"
                    )

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the results and what to type next."""
        plan = self._plan
        self._stop()
        if plan is not None and any(d.node == "summarise" for d in plan.decisions):
            self._metrics = self._metrics or catalog.load("metrics")
        if plan is not None and plan.is_all_reused:
            self._console.print(
                f"Nothing to do: all {len(plan.decisions)} steps are up to date.",
                highlight=False,
            )
        if "exported_model" in pipeline.all_outputs():
            self._console.print(
                f"Exported to {_shown(catalog.load('exported_model'))}",
                highlight=False,
                soft_wrap=True,
            )
        if self._faults is not None:
            self._tell_predictions(self._faults, catalog)
        if self._metrics is None:
            return
        self._console.print()
        held_out = self._config and self._config.source.validation_fraction is not None
        summary = format_summary(self._metrics, on_validation=bool(held_out))
        self._console.print(summary, highlight=False)
        self._console.print(
            f"\nResults and figures: {_folder(catalog)}\n"
            "\nNext:\n"
            "  kedro mlflow ui                     compare runs in the browser\n"
            "  kedro viz run                       look at the pipelines\n"
            f"  {self._run_command} --params model.edition=M\n"
            "  kedro run --env cifar100_mini --params source.path=DIR",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Leave the terminal as it was, and say how to go on."""
        plan = self._plan
        self._stop()
        if plan is not None and plan.num_run and not isinstance(error, RunInterrupted):
            self._console.print(
                "What was finished is kept; the same command goes on from there.",
                highlight=False,
            )

    def _tell_predictions(self, faults: pd.Series, catalog: Any) -> None:
        bad = int(faults.notna().sum())
        why = f"; {bad} could not be read, see the column error" if bad else ""
        path = _place_of(catalog["inference_table"])
        good = len(faults) - bad
        noun = "image" if good == 1 else "images"
        self._console.print(
            f"{good} {noun} classified{why}\nTable: {path}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def _stop(self) -> None:
        unsubscribe(self)
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._tasks = self._epochs = self._plan = None


def _place(config: Config) -> str:
    """Say where tasks are trained and how, that is what ``auto`` came to."""
    training, embed_dim = config.training, config.model.embed_dim
    device = resolve_device(training.device)
    precision = str(resolve_precision(training.precision, device, embed_dim))
    compiles = wants_compilation(training.compile, device)
    compiled = ", compiled blocks" if compiles else ""
    return f"Training on {device} in {precision.removeprefix('torch.')}{compiled}."


def _folder(catalog: Any) -> Path | str:
    """Folder of the run's results, of those that lie on this machine."""
    places = [_place_of(catalog[name]) for name in ("metrics", "results", "report")]
    return next((p.parent for p in places if isinstance(p, Path)), places[0])


def _place_of(dataset: Any) -> Path | str:
    """Path from the working directory where it lies below; else what Kedro says."""
    path = getattr(dataset, "filepath", None)
    return str(dataset) if path is None else _shown(Path(path))


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
