"""Parent run in MLflow: one for each ``kedro run`` that computes something."""

from __future__ import annotations

import os
import re
from typing import Any

import mlflow
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from daformer_kedro.config.run import study_key
from daformer_kedro.pipelines.naming import MONITOR, STUDY
from daformer_kedro.reuse.differences import leaves
from daformer_kedro.reuse.hooks import ReuseHooks
from daformer_kedro.reuse.runner import RunInterrupted, this_command
from daformer_kedro.run_state import StateHooks
from daformer_kedro.storage.processes import is_dead
from daformer_kedro.tracking.client import TrackingClient
from daformer_kedro.tracking.connection import connect
from daformer_kedro.tracking.monitor_runs import monitor_experiment, monitor_tags
from daformer_kedro.tracking.run_metadata import (
    PROCESS_TAG,
    PROJECT_TAG,
    STUDY_TAG,
    metadata_tags,
    settings_tags,
)

PARENT_VARIABLE = "DAFORMER_MLFLOW_PARENT"
"""Variable of the environment with the id of the run that this one is a part of."""

TRIAL_VARIABLE = "DAFORMER_TRIAL"
"""Variable with the number of the trial that this run is."""

_PARAMS = "params:"
_LONGEST_TAG = 500
_OBJECT = re.compile(r"^<(.+) object at \w+>$")  # as Kedro names a runner


class ParentRunHooks(StateHooks):
    """Opens the parent run, logs the parameters that nodes read, and closes it.

    It takes the place of kedro-mlflow's own hook, which settings.py turns off: that one
    lets errors of the database end a run, and sends a request for each parameter.
    """

    def __init__(self, client: TrackingClient, reuse: ReuseHooks) -> None:
        self._client = client
        self._reuse = reuse
        self._tracking: Any = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Set MLflow up. Without its database a run is not logged, and that is all."""
        super().after_context_created(context)
        self._client.begin()
        self._client.experiment = connect(context, self.state, self._client.queue)
        self._tracking = context.mlflow.tracking

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Close orphans, and open the parent run if there is anything to log.

        That is where something is computed, and where an interrupted run is resumed:
        it may have ended after its last result and before its log.
        """
        names = run_params.get("pipeline_names") or ["__default__"]
        if names == [MONITOR]:
            self._client.experiment = self._monitor_experiment()
        if not self._client.experiment:
            return
        self._client.queue.attempt(self._close_orphans)
        plan = self._reuse.plan
        if plan is not None and plan.is_all_reused and not plan.is_resumed:
            return
        if set(names) <= set(self._tracking.disable_tracking.pipelines):
            return
        name, tags, run_id = self._describe(names)
        given = {**run_params, "kedro_command": this_command()}
        given["runner"] = _OBJECT.sub(r"\1", str(run_params.get("runner")))
        tags |= {name: str(v)[:_LONGEST_TAG] for name, v in given.items() if v}
        tags |= _place_of_trial()
        self._client.open_parent(name, tags, run_id)
        if plan is not None:
            plan.recorder.mlflow_runs = self._client.runs

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Log the parameters that the node reads, as they were given."""
        read = tuple(f"{i[len(_PARAMS) :]}." for i in node.inputs if _PARAMS in i)
        given = leaves(self.state.parameters)
        self._client.log_params(
            {name: value for name, value in given if f"{name}.".startswith(read)}
        )

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the runs."""
        self._close("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the runs as failed, or as killed after an interruption."""
        self._close("KILLED" if isinstance(error, RunInterrupted) else "FAILED")

    def _describe(self, names: list[str]) -> tuple[str, dict[str, str], str | None]:
        """Return a run's name and tags, and the id of one to continue, if any."""
        run_id: str | None = self._tracking.run.id
        if names == [MONITOR]:
            return MONITOR, monitor_tags(self.state), run_id
        name = self._tracking.run.name or "+".join(names)
        tags = settings_tags(self.state) | metadata_tags(self.state.config)
        if names == [STUDY]:
            key = study_key(self.state.config)
            name, tags = (
                f"study {self.state.config.study.name}",
                tags | {STUDY_TAG: key},
            )
            run_id = run_id or self._earlier(key)
        return name, tags, run_id

    def _monitor_experiment(self) -> str:
        """Return the experiment of runs that watch; one that is active stays."""
        if not self._client.experiment or mlflow.active_run() is not None:
            return self._client.experiment
        return monitor_experiment(self.state, self._tracking, self._client.queue)

    def _earlier(self, study: str) -> str | None:
        """Return the run of a study that was interrupted, to continue it."""
        found: list[str] = []

        def search() -> None:
            runs = MlflowClient().search_runs(
                [self._client.experiment], f"tags.{STUDY_TAG} = '{study}'"
            )
            found.extend(run.info.run_id for run in runs)

        self._client.queue.attempt(search)
        return found[-1] if found else None

    def _close(self, status: str) -> None:
        if self._client.is_open():
            self._client.set_tags(self._reused_tags())
            self._client.close(status)

    def _reused_tags(self) -> dict[str, str]:
        """Name what was reused, with links to the runs in which it was made."""
        plan = self._reuse.plan
        reused = [d for d in plan.decisions if d.is_reused] if plan is not None else []
        if not reused:
            return {}
        runs = {d.node: d.mlflow_run or "unknown" for d in reused}
        page = f"#/experiments/{self._client.experiment}/runs/"
        links = [f"- [{node}]({page}{run})" for node, run in runs.items()]
        tags = {f"reused.{node}": run for node, run in runs.items()}
        return tags | {MLFLOW_RUN_NOTE: "\n".join(["Reused results:", *links])}

    def _close_orphans(self) -> None:
        """Mark runs of this project whose process was killed.

        Others of the same project cannot be told from living ones on other hosts.
        """
        client = MlflowClient()
        for run in client.search_runs(
            [self._client.experiment],
            "attributes.status = 'RUNNING'",
            max_results=1000,
        ):
            tags = run.data.tags
            is_own = tags.get(PROJECT_TAG) == self.state.project.as_posix()
            if is_own and is_dead(tags.get(PROCESS_TAG, "")):
                client.set_terminated(run.info.run_id, "KILLED")


def _place_of_trial() -> dict[str, str]:
    """Return tags that put a trial below its study; none for other runs."""
    parent, trial = (os.environ.get(v) for v in (PARENT_VARIABLE, TRIAL_VARIABLE))
    tags = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent}
    return tags if trial is None else tags | {"trial": trial}
