"""Keeps the troubles of a tracking server away from the run."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from typing import Any

import mlflow
from kedro.framework.hooks import hook_impl

from daformer_kedro.hooks.outbox import is_away
from daformer_kedro.usage import UsageError

_LOGGER = logging.getLogger(__name__)

_DEFAULTS = {
    # MLflow's own are 7 attempts, which take four minutes for each call.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_SYSTEM_METRICS = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class ServerHooks:
    """Wraps what kedro-mlflow sends, so that a server may go away during a run.

    A server that is not there at the start ends the run at once, before anything is
    learnt. Environment variables that the user has set stay as they are.
    """

    def __init__(self) -> None:
        self._has_warned = False

    @hook_impl(wrapper=True)
    def after_context_created(self) -> Generator[None, Any, Any]:
        """Set how long to wait for an answer, and have the machine's load logged.

        Raises:
            UsageError: the server does not answer.
        """
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        if _SYSTEM_METRICS not in os.environ:
            mlflow.enable_system_metrics_logging()
        # MLflow sets its own level when it is imported, after Kedro has set levels.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._has_warned = False
        try:
            return (yield)
        except Exception as error:
            if is_away(error):
                raise UsageError(
                    f"The MLflow server {mlflow.get_tracking_uri()} does not answer. "
                    "It is set by MLFLOW_TRACKING_URI or conf/local/mlflow.yml; "
                    f"without either, runs are recorded in mlflow.db.\n{error}"
                ) from error
            raise

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Keep an earlier run of this process closed.

        Where tracking is off for a pipeline, kedro-mlflow 2.0 still opens the run
        before it anew for every node.
        """
        # Imported here, since importing it warns of what its own parts deprecate.
        from kedro_mlflow.framework.hooks.mlflow_hook import mlflow_hook

        if mlflow.active_run() is None:
            mlflow_hook.run_id = None

    @hook_impl(wrapper=True)
    def before_node_run(self) -> Generator[None, Any, Any]:
        """Let a node run whose parameters cannot be logged."""
        try:
            return (yield)
        except Exception as error:
            self._forgive(error)
            return []

    @hook_impl(wrapper=True)
    def after_pipeline_run(self) -> Generator[None, Any, Any]:
        """Let a run end well whose end cannot be logged."""
        try:
            return (yield)
        except Exception as error:
            self._forgive(error)
            return []

    @hook_impl(wrapper=True)
    def on_pipeline_error(self) -> Generator[None, Any, Any]:
        """Show the run's own error, not the server's."""
        try:
            return (yield)
        except Exception as error:
            self._forgive(error)
            return []

    def _forgive(self, error: Exception) -> None:
        if not is_away(error):
            raise error
        if not self._has_warned:
            _LOGGER.warning("MLflow: the server does not answer: %s", error)
        self._has_warned = True
