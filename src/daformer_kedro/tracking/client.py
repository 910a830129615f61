"""Client of MLflow: a parent run for each ``kedro run``, a run below for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.time import get_current_time_millis

from daformer_kedro.tracking.metrics import Steps
from daformer_kedro.tracking.retry_queue import RetryQueue


class TrackingClient:
    """Writes to the runs that are open; what is sent to others is ignored.

    A task's run is named by its namespace, the parent by ``None``.

    Attributes:
        queue: of everything that is sent.
        experiment: id of the experiment; empty where MLflow did not answer.
        runs: ids of the runs, which MLflow may create later than they are opened.
    """

    def __init__(self) -> None:
        self.queue = RetryQueue()
        self.begin()

    def begin(self) -> None:
        """Forget an earlier run."""
        self.queue.reset()
        self.experiment = ""
        self.runs: dict[str | None, str] = {}
        self._mlflow: Any = None
        self._open: set[str | None] = set()
        self._params: set[str] = set()
        self._is_borrowed = False
        self._is_continued = False

    def is_open(self, namespace: str | None = None) -> bool:
        """Return whether a run has been opened and not closed."""
        return namespace in self._open

    def open_parent(self, name: str, tags: Mapping[str, str], run: str | None) -> None:
        """Open the parent run as MLflow's active one, if MLflow answers.

        Its tags are there from its creation on: a run that is tagged later could be
        orphaned before, and never be found. A run that is active already is used and
        left open.

        Args:
            name: of the run.
            tags: of the run.
            run: id of a run to continue; ``None`` for a new one.
        """
        active = mlflow.active_run()
        self._is_borrowed = active is not None
        # MLflow itself continues the run that the variable names.
        self._is_continued = bool(active or run or MLFLOW_RUN_ID.get())

        def start() -> None:
            opened = active or mlflow.start_run(
                run, self.experiment, run_name=name, tags=dict(tags)
            )
            self._mlflow = MlflowClient()
            self.experiment = opened.info.experiment_id
            self.runs[None] = opened.info.run_id
            self._open.add(None)

        self.queue.attempt(start)
        if self._is_borrowed:
            self.set_tags(tags)

    def open_child(self, namespace: str, tags: Mapping[str, str]) -> None:
        """Open a task's run below the parent, once.

        Where the parent is continued, as by steps in processes of their own, so is the
        run that an earlier attempt has opened for the task.
        """
        if None not in self._open or namespace in self._open:
            return
        tags = {MLFLOW_PARENT_RUN_ID: self.runs[None], **tags}

        def create() -> None:
            run = self._earlier_child(namespace) if self._is_continued else None
            if run is None:
                run = self._mlflow.create_run(self.experiment, None, tags, namespace)
            else:
                self._mlflow.update_run(run.info.run_id, "RUNNING")
            self.runs[namespace] = run.info.run_id

        self._open.add(namespace)
        self.queue.send(create)

    def log_metrics(self, namespace: str | None, steps: Steps) -> None:
        """Log metrics in one request."""
        now = get_current_time_millis()
        metrics = [
            Metric(name, float(value), now, step)
            for step, values in steps
            for name, value in values.items()
            if value is not None
        ]
        self._send(namespace, lambda run: self._mlflow.log_batch(run, metrics))

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log those parameters of the parent run that have not been logged yet."""
        new = sorted(values.keys() - self._params)
        self._params.update(new)
        params = [Param(name, str(values[name])) for name in new]
        if params:
            self._send(None, lambda run: self._mlflow.log_batch(run, params=params))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tag the parent run."""
        entries = [RunTag(name, value) for name, value in tags.items()]
        if entries:
            self._send(None, lambda run: self._mlflow.log_batch(run, tags=entries))

    def log_inputs(self, namespace: str | None, inputs: list[DatasetInput]) -> None:
        """Log what data a run was made from."""
        self._send(namespace, lambda run: self._mlflow.log_inputs(run, inputs))

    def log_artifact(self, namespace: str | None, path: Path) -> None:
        """Attach a file to a run."""
        self._send(namespace, lambda run: self._mlflow.log_artifact(run, str(path)))

    def close(self, status: str) -> None:
        """Close all runs, the parent last, and report what could not be sent."""
        for namespace in sorted(filter(None, self._open)):
            self._send(namespace, lambda run: self._mlflow.set_terminated(run, status))
        self.queue.close()
        if not self._is_borrowed:
            self.queue.attempt(partial(mlflow.end_run, status), in_pause=True)
        self._open.clear()

    def _earlier_child(self, namespace: str) -> Run | None:
        found = self._mlflow.search_runs(
            [self.experiment],
            f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.runs[None]}' "
            f"and attributes.run_name = '{namespace}'",
            max_results=1,
        )
        return found[0] if found else None

    def _send(self, namespace: str | None, action: Callable[[str], object]) -> None:
        if namespace in self._open:
            self.queue.send(lambda: action(self.runs[namespace]))
