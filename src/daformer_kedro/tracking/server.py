"""Defaults of MLflow in a run, where the user has not said otherwise."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

_DEFAULTS = {
    # MLflow's own are 7 attempts, which take four minutes for each call.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # For kedro mlflow ui: without the eight processes that judge language models.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"  # mlflow.server's, slow to import
_SYSTEM_METRICS = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class ServerHooks:
    """Environment variables that the user has set stay as they are."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Set how long to wait for an answer, and have the machine's load logged."""
        # MLflow's default lies in the working directory. It writes that into SQL by
        # hand, where an apostrophe is an error; a URI has none.
        artifacts = Path(context.project_path).resolve() / "mlartifacts"
        os.environ[_ARTIFACT_ROOT] = artifacts.as_uri()
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        if _SYSTEM_METRICS not in os.environ:
            mlflow.enable_system_metrics_logging()
        # MLflow sets its own level when it is imported, after Kedro has set levels.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
