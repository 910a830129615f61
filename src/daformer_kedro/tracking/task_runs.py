"""Runs of the tasks in MLflow, and what both they and the parent run show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from daformer_kedro.learning.progress import EpochRecord, subscribe, unsubscribe
from daformer_kedro.pipelines.naming import (
    ATTACHED,
    CONFIDENCE,
    EVALUATION,
    IMAGES,
    METRICS,
    MONITOR_SUMMARY,
    SAMPLES,
    STUDY_RESULT,
    SUMMARISE,
    task_name,
)
from daformer_kedro.reuse.costs import run_costs
from daformer_kedro.reuse.hooks import ReuseHooks
from daformer_kedro.run_state import StateHooks
from daformer_kedro.tracking.client import TrackingClient
from daformer_kedro.tracking.metrics import (
    confidence_steps,
    epoch_steps,
    monitor_steps,
    run_steps,
    task_steps,
)
from daformer_kedro.tracking.monitor_runs import summary_tags
from daformer_kedro.tracking.run_metadata import (
    image_inputs,
    settings_tags,
    table_input,
)


class TaskRunHooks(StateHooks):
    """Logs epochs, metrics, data and files as soon as they are known."""

    def __init__(self, client: TrackingClient, reuse: ReuseHooks) -> None:
        self._client = client
        self._reuse = reuse
        self._catalog: Any = None
        self._inputs: set[str] = set()

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Listen to the epochs."""
        self._catalog = catalog
        self._inputs = set()
        subscribe(self)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Open the task's run before its first node."""
        if node.namespace:
            self._client.open_child(node.namespace, settings_tags(self.state))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Log which images and which samples a run was made from."""
        namespace, name = _split(dataset_name)
        if not self._client.is_open(namespace) or dataset_name in self._inputs:
            return
        if dataset_name == IMAGES:
            inputs = image_inputs(data, self.state.config)
        elif namespace and name == SAMPLES:
            inputs = [table_input(dataset_name, "training", data)]
        else:
            return
        self._inputs.add(dataset_name)
        self._client.log_inputs(namespace, inputs)

    def on_epoch(self, record: EpochRecord) -> None:
        """Log an epoch's losses, learning rate, accuracy and throughput."""
        self._client.log_metrics(task_name(record.task), epoch_steps(record))

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        """Log metrics of a task, of the run, and of the confidence in answers."""
        for dataset_name, value in outputs.items():
            namespace, name = _split(dataset_name)
            if namespace and name == METRICS:
                self._client.log_metrics(namespace, task_steps(value))
        if METRICS in outputs:
            self._client.log_metrics(None, run_steps(outputs[METRICS]))
        if STUDY_RESULT in outputs:
            found = outputs[STUDY_RESULT]
            values = {"best_value": found["value"], "num_trials": found["num_trials"]}
            self._client.log_metrics(None, [(0, values)])
        if MONITOR_SUMMARY in outputs:
            self._client.log_metrics(None, monitor_steps(outputs[MONITOR_SUMMARY]))
            self._client.set_tags(summary_tags(outputs[MONITOR_SUMMARY]))
        if CONFIDENCE in outputs:
            self._client.log_metrics(None, confidence_steps(outputs[CONFIDENCE]))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Attach reports and figures to the run that they belong to."""
        namespace, name = _split(dataset_name)
        is_attached = name in ATTACHED if namespace else EVALUATION in node.tags
        path = getattr(self._catalog[dataset_name], "filepath", None)
        if is_attached and path is not None:  # others are kept elsewhere
            self._client.log_artifact(namespace, Path(path))

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Log the costs of a run, and metrics that were reused, before it is closed."""
        unsubscribe(self)
        plan = self._reuse.plan
        if not self._client.is_open() or plan is None:
            return
        if plan.reuses(SUMMARISE):
            self._client.log_metrics(None, run_steps(catalog.load(METRICS)))
        if METRICS in plan.pipeline.all_outputs():
            metrics = catalog.load(METRICS)
            costs = run_costs(plan.pipeline, catalog, self.state.tasks, metrics)
            self._client.log_metrics(None, [(0, costs)])

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Stop listening."""
        unsubscribe(self)


def _split(dataset_name: str) -> tuple[str | None, str]:
    """Split a dataset's name into the task's namespace, if any, and the rest."""
    namespace, _, name = dataset_name.rpartition(".")
    return namespace or None, name
