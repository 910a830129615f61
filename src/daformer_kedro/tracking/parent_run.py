"""The parent run in MLflow: kedro-mlflow's hook, which here can never cost a result."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from mlflow.tracking import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from daformer_kedro.errors import InputError
from daformer_kedro.reuse.hooks import JOURNAL
from daformer_kedro.reuse.planner import current_plan
from daformer_kedro.reuse.runner import RunInterrupted
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.processes import identity, is_dead
from daformer_kedro.tracking.logbook import LOGBOOK

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses what its own dependencies give up
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

PROCESS_TAG = "daformer.process"
PROJECT_TAG = "daformer.project"
_ATTEMPTS = 3
_PATIENCE = 120.0  # seconds; on a busy machine MLflow takes many to make its database
_LOGGER = logging.getLogger(__name__)


class ParentRunHooks(MlflowHook):
    """Opens a parent run where something is computed, and closes orphaned ones.

    It stands in for kedro-mlflow's own hook, which settings.py turns off: that one lets
    errors of the database end a run.
    """

    def __init__(self) -> None:
        super().__init__()
        self._can_log = True
        self._project = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set MLflow up. Without its database a run goes on and is not logged."""
        LOGBOOK.begin()
        self._project = Path(context.project_path).resolve().as_posix()
        self._can_log = False
        server = context.config_loader["mlflow"].get("server") or {}
        with _one_process(_lock_path(server.get("mlflow_tracking_uri"), self._project)):
            self._set_up(context)

    def _set_up(self, context: KedroContext) -> None:
        """Make the database and the experiment where they are not there yet."""
        for attempt in range(_ATTEMPTS):
            # A process on another machine may make them at the same moment.
            last = attempt == _ATTEMPTS - 1
            try:
                super().after_context_created(context)
                self._can_log = True
                return
            except Exception as error:
                # A mistake in mlflow.yml is the user's to mend, not the database's.
                values = context.config_loader["mlflow"]
                self.mlflow_config = KedroMlflowConfig.model_validate({**values})
                failure = error
            if not last:
                time.sleep(0.5)
        context.__setattr__("mlflow", self.mlflow_config)
        LOGBOOK.attempt(partial(_raise, failure))

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Close orphans, and open the parent run if there is anything to log.

        That is where something is computed, and where an interrupted run is gone on
        with: it may have ended after its last result and before its log.
        """
        plan = current_plan()
        self.run_id = None
        self._is_mlflow_enabled = False
        if not self._can_log:
            return
        LOGBOOK.attempt(self._close_orphans)
        if plan is not None and plan.is_all_reused and plan.mode != "resumed":
            return
        # Asked here, since the run is created before kedro-mlflow would ask.
        disabled = self.mlflow_config.tracking.disable_tracking.pipelines
        names = run_params.get("pipeline_names") or [run_params.get("pipeline_name")]
        if all(name in disabled for name in names):
            return
        begin = super().before_pipeline_run

        def open_parent() -> None:
            self._create()
            begin(run_params=run_params, pipeline=pipeline, catalog=catalog)

        if not self._already_active_mlflow and mlflow.active_run():
            mlflow.end_run()
        if not LOGBOOK.attempt(open_parent):
            self._is_mlflow_enabled = False

    @hook_impl
    def before_node_run(
        self,
        node: Node,
        catalog: CatalogProtocol,
        inputs: dict[str, Any],
        is_async: bool,
    ) -> None:
        """Log the parameters that the node reads."""
        log = super().before_node_run
        if self._is_mlflow_enabled:
            LOGBOOK.attempt(
                lambda: log(
                    node=node, catalog=catalog, inputs=inputs, is_async=is_async
                )
            )

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Close the parent run."""
        self._close("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the parent run as failed, or as killed after an interruption."""
        self._close("KILLED" if isinstance(error, RunInterrupted) else "FAILED")

    def _create(self) -> None:
        """Create the parent run together with its process's tag.

        A run that is tagged later could be orphaned before, and never be found.
        """
        run = self.mlflow_config.tracking.run
        if self._already_active_mlflow or run.id is not None:
            return
        created = MlflowClient().create_run(
            self.mlflow_config.tracking.experiment._experiment.experiment_id,
            run_name=run.name,
            tags=resolve_tags({PROCESS_TAG: identity(), PROJECT_TAG: self._project}),
        )
        run.id = created.info.run_id

    def _close(self, status: str) -> None:
        run, self.run_id = self.run_id, None
        if self._is_mlflow_enabled and not self._already_active_mlflow:
            LOGBOOK.attempt(partial(mlflow.end_run, status), must_try=True)
            if run is not None:
                client = MlflowClient()
                LOGBOOK.attempt(partial(client.set_terminated, run, status))
        self._is_mlflow_enabled = False

    def _close_orphans(self) -> None:
        """Mark runs of this project whose process was killed.

        Others of the same project cannot be told from living ones on other hosts.
        """
        client = MlflowClient()
        experiment = self.mlflow_config.tracking.experiment._experiment.experiment_id
        for run in client.search_runs(
            [experiment], "attributes.status = 'RUNNING'", max_results=1000
        ):
            tags = run.data.tags
            is_own = tags.get(PROJECT_TAG) == self._project
            if is_own and is_dead(tags.get(PROCESS_TAG, "")):
                client.set_terminated(run.info.run_id, "KILLED")


def _lock_path(uri: str | None, project: str) -> Path:
    """The lock of a run log: beside a database file, else in the project."""
    try:
        url = make_url(uri or "")
    except ArgumentError:
        url = None
    if url is not None and url.get_backend_name() == "sqlite" and url.database:
        return Path(project, f"{url.database}.lock")
    return Path(project) / JOURNAL / "mlflow.lock"


@contextmanager
def _one_process(path: Path) -> Iterator[None]:
    """One process at a time: MLflow makes tables one by one, and not for two at once.

    A lock that cannot be had must not cost a run: without it the block is tried too.
    """
    lock = Lock(path, "MLflow's database")
    try:
        lock.acquire(patience=_PATIENCE)
    except InputError as error:
        _LOGGER.debug("%s", error)
    try:
        yield
    finally:
        lock.release()


def _raise(error: Exception) -> None:
    raise error
