"""Defaults of MLflow in a run, where the user has not said otherwise."""

from __future__ import annotations

import logging
import os

import mlflow
from kedro.framework.hooks import hook_impl

_DEFAULTS = {
    # MLflow's own are 7 attempts, which take four minutes for each call.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_SYSTEM_METRICS = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class ServerHooks:
    """Environment variables that the user has set stay as they are."""

    @hook_impl(tryfirst=True)
    def after_context_created(self) -> None:
        """Set how long to wait for an answer, and have the machine's load logged."""
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        if _SYSTEM_METRICS not in os.environ:
            mlflow.enable_system_metrics_logging()
        # MLflow sets its own level when it is imported, after Kedro has set levels.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
