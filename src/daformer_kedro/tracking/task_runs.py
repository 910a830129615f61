"""The run log in MLflow: one parent run a ``kedro run``, one child run a task.

:class:`~daformer_kedro.tracking.parent_run.ParentRunHooks` starts the parent run and
logs the parameters. Everything else is here. A run log must never cost a result: what
cannot be sent now is kept, see :class:`~daformer_kedro.tracking.outbox.Outbox`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node
from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE
from mlflow.utils.time import get_current_time_millis

from daformer_kedro.config.run import Config, run_key
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.learning.progress import EpochRecord, subscribe, unsubscribe
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.reuse.planner import Decision, Plan, current_plan
from daformer_kedro.reuse.runner import RunInterrupted
from daformer_kedro.storage.processes import identity
from daformer_kedro.tracking.outbox import Outbox
from daformer_kedro.tracking.parent_run import PROCESS_TAG, PROJECT_TAG
from daformer_kedro.tracking.run_metadata import fact_tags, image_inputs, table_input

_SUMMARY = (
    "average_incremental_accuracy",
    "last_accuracy",
    "forgetting",
    "backward_transfer",
)
_SERIES = (
    "accuracy_after_task",
    "top5_accuracy_after_task",
    "num_exemplars",
    "num_classes_seen",
)


class TrackingHooks:
    """Tags and results on the parent run, epochs and metrics on the tasks' runs."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._catalog: Any = None
        self._client: MlflowClient | None = None
        self._parent: str | None = None
        self._experiment: str | None = None
        self._children: dict[str, str] = {}
        self._opened: set[str] = set()
        self._inputs: set[str] = set()
        self._outbox = Outbox()
        self._plan: Plan | None = None
        self._reused: list[Decision] = []
        self._project = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the settings, for the tags."""
        self._project = Path(context.project_path).resolve().as_posix()
        self._config = Config.from_parameters(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Tag the parent run and listen to the epochs."""
        self._catalog = catalog
        self._children, self._opened, self._inputs = {}, set(), set()
        self._parent = None
        self._reused = []
        self._plan = current_plan()
        if self._plan is not None:
            self._plan.listen(self._on_decision)
        self._open_parent()
        subscribe(self)

    def _on_decision(self, decision: Decision) -> None:
        if decision.is_reused:
            self._reused.append(decision)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Open the task's run before its first node."""
        namespace = node.namespace
        if namespace and self._parent and namespace not in self._opened:
            self._opened.add(namespace)
            self._outbox.send(lambda: self._open_child(namespace))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Log which images and which samples a run was made from."""
        namespace, _, name = dataset_name.rpartition(".")
        if self._parent is None or dataset_name in self._inputs:
            return
        if dataset_name == "images" and self._config is not None:
            inputs = image_inputs(data, self._config)
        elif name == "samples" and namespace in self._opened:
            inputs = [table_input(dataset_name, "training", data)]
        else:
            return
        self._inputs.add(dataset_name)
        self._outbox.send(
            lambda: self._client_or_raise().log_inputs(self._run_of(namespace), inputs)
        )

    def on_epoch(self, record: EpochRecord) -> None:
        """Log an epoch's losses, learning rate, accuracy and throughput."""
        values = {
            "learning_rate": record.learning_rate,
            "train_accuracy": record.train_accuracy,
            "images_per_second": record.images_per_second,
            **{f"loss_{name}": value for name, value in record.losses.items()},
        }
        named = {f"{record.phase}/{name}": value for name, value in values.items()}
        self._log(task_name(record.task), named, step=record.epoch)

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Log metrics as soon as they are known."""
        own = outputs.get(f"{node.namespace}.metrics")
        if own is not None:
            self._log_task(str(node.namespace), own)
        if "metrics" in outputs:
            self._log_run(outputs["metrics"])
        if "confidence" in outputs:
            self._log_confidence(outputs["confidence"])

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Attach reports and figures to the run that they belong to."""
        namespace, _, name = dataset_name.rpartition(".")
        wanted = name in _TASK_FILES if namespace else "evaluation" in node.tags
        if self._parent and wanted and (not namespace or namespace in self._opened):
            path = getattr(self._catalog[dataset_name], "filepath", None)
            if path is None:  # of another type, which keeps it elsewhere
                return
            self._outbox.send(
                lambda: self._client_or_raise().log_artifact(
                    self._run_of(namespace), str(path)
                )
            )

    # First: the parent run is still open then.

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Close the tasks' runs; the parent is closed after this."""
        if self._parent and any(d.node == "summarise" for d in self._reused):
            self._log_run(self._catalog.load("metrics"))
        self._close("FINISHED")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Mark the runs of unfinished tasks as failed, or as killed."""
        self._close("KILLED" if isinstance(error, RunInterrupted) else "FAILED")

    def _open_parent(self) -> None:
        run = mlflow.active_run()
        if run is None or self._config is None:
            return
        client, parent = MlflowClient(), run.info.run_id
        self._client, self._parent = client, parent
        self._experiment = run.info.experiment_id
        if self._plan is not None:
            self._plan.mlflow_runs[None] = parent
        tags = self._tags(self._config) | fact_tags(self._config)
        batch = [RunTag(key, value) for key, value in tags.items()]
        self._outbox.send(lambda: client.log_batch(parent, tags=batch))

    def _tags(self, config: Config) -> dict[str, str]:
        return {
            "protocol": config.protocol,
            "edition": config.model.edition,
            "baseline": config.baseline,
            "schedule": config.training.schedule,
            "class_order": str(config.scenario.class_order),
            "seed": str(config.seed),
            "run_key": run_key(config),
            "device": str(resolve_device(config.training.device)),
            PROCESS_TAG: identity(),
            PROJECT_TAG: self._project,
        }

    def _open_child(self, namespace: str) -> None:
        tags = {MLFLOW_PARENT_RUN_ID: str(self._parent)}
        if self._config is not None:
            tags |= self._tags(self._config)
        run = self._client_or_raise().create_run(
            str(self._experiment), tags=tags, run_name=namespace
        )
        self._children[namespace] = run.info.run_id
        if self._plan is not None:
            self._plan.mlflow_runs[namespace] = run.info.run_id

    def _log_reused(self) -> None:
        """Show in the parent run what was reused, with links to where it was made."""
        tags, lines = [], ["Reused results:"]
        for decision in self._reused:
            run = decision.mlflow_run or "unknown"
            tags.append(RunTag(f"reused.{decision.node}", run))
            link = f"#/experiments/{self._experiment}/runs/{run}"
            lines.append(f"- [{decision.node}]({link})")
        tags.append(RunTag(MLFLOW_RUN_NOTE, "\n".join(lines)))
        for first in range(0, len(tags), _TAGS_A_REQUEST):
            chunk = tags[first : first + _TAGS_A_REQUEST]
            self._client_or_raise().log_batch(str(self._parent), tags=chunk)

    def _log_task(self, namespace: str, metrics: dict[str, Any]) -> None:
        values = {name: value for name, value in metrics.items() if name != "task"}
        rows = values.pop("task_accuracies")
        for task, accuracy in enumerate(rows):
            values[f"accuracy_on_{task_name(task)}"] = accuracy
        self._log(namespace, values, step=metrics["task"])

    def _log_run(self, metrics: dict[str, Any]) -> None:
        self._log("", {name: metrics[name] for name in _SUMMARY}, step=0)
        for name in _SERIES:
            for task, value in enumerate(metrics[name]):
                self._log("", {name: value}, step=task)

    def _log_confidence(self, confidence: dict[str, Any]) -> None:
        errors = confidence["calibration"]["expected_calibration_error"]["test"]
        unknown = confidence["unknown"]
        values = {
            "calibration_error_before": errors["before"],
            "calibration_error": errors["after"],
            "unknown_auroc": unknown["average_auroc"],
        }
        self._log("", values, step=0)
        for found in unknown["after_task"]:
            area = {"unknown_auroc_after_task": found["auroc"]}
            self._log("", area, step=found["task"])

    def _log(
        self, namespace: str, values: Mapping[str, float | None], step: int
    ) -> None:
        """Log what is a number, in one request; with no namespace on the parent."""
        if self._parent is None or (namespace and namespace not in self._opened):
            return
        now = get_current_time_millis()
        known = [
            Metric(name, float(value), now, step)
            for name, value in values.items()
            if value is not None
        ]
        self._outbox.send(
            lambda: self._client_or_raise().log_batch(
                self._run_of(namespace), metrics=known
            )
        )

    def _run_of(self, namespace: str) -> str:
        """Id of a task's run, or of the parent; the run may have been opened late."""
        if not namespace:
            return str(self._parent)
        return self._children[namespace]

    def _close(self, status: str) -> None:
        unsubscribe(self)
        if self._reused and self._parent:
            self._outbox.send(self._log_reused)
        for namespace in sorted(self._opened):
            self._outbox.send(partial(self._terminate, namespace, status))
        self._outbox.close()
        self._opened = set()
        self._plan = None

    def _terminate(self, namespace: str, status: str) -> None:
        self._client_or_raise().set_terminated(self._run_of(namespace), status)

    def _client_or_raise(self) -> MlflowClient:
        if self._client is None:
            raise RuntimeError("no MLflow run is open")
        return self._client


_TAGS_A_REQUEST = 100  # as many as MLflow takes
_TASK_FILES = (
    "metrics",
    "training_history",
    "finetuning_history",
    "predictions",
    "exemplar_sheet",
)
