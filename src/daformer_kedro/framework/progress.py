"""Progress of a run: bars at a terminal, a line for each phase elsewhere."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
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
from daformer_kedro.learning.compilation import wants_compilation
from daformer_kedro.learning.devices import describe_precision, resolve_device
from daformer_kedro.learning.graph import wants_graph
from daformer_kedro.learning.progress import EpochRecord, subscribe, unsubscribe
from daformer_kedro.pipelines.naming import METRICS, of_task
from daformer_kedro.run_state import StateHooks


class ProgressHooks(StateHooks):
    """A bar of tasks and one of epochs.

    Args:
        console: where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._tasks: TaskID | None = None
        self._epochs: TaskID | None = None

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Start the bars if any task trains."""
        subscribe(self)
        namespaces = {node.namespace for node in pipeline.nodes if node.namespace}
        if not namespaces:
            return
        self._console.print(_device_and_precision(self.state.config), highlight=False)
        if not self._console.is_terminal:
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
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Advance the bar of tasks."""
        if not node.namespace:
            return
        metrics = outputs.get(of_task(node.namespace, METRICS))
        if metrics is None:
            return
        note = f"accuracy {metrics['accuracy']:.1%}"
        if self._progress is not None and self._tasks is not None:
            self._progress.update(self._tasks, advance=1, note=note)
        else:
            classes = metrics["num_classes_seen"]
            self._console.print(f"task {metrics['task']}: {note} on {classes} classes")

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Stop the bars."""
        self._stop()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def _stop(self) -> None:
        unsubscribe(self)
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._tasks = self._epochs = None


def _device_and_precision(config: Config) -> str:
    """Describe where tasks are trained and how, that is what ``auto`` came to."""
    training, embed_dim = config.training, config.model.embed_dim
    device = resolve_device(training.device)
    if not config.trains:
        return f"Working on {device}; nothing is trained."
    precision = describe_precision(training.precision, device, embed_dim)
    compiles = wants_compilation(training.compile, device)
    graphs = wants_graph(training.graph, device, training.num_ranks)
    how = (", compiled blocks" if compiles else "") + (
        ", CUDA graphs" if graphs else ""
    )
    return f"Training on {device} in {precision}{how}."
