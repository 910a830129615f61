"""Connection to MLflow as ``mlflow.yml`` describes it, with kedro-mlflow's settings."""

from __future__ import annotations

import logging
import os
import time
import warnings
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import ValidationError

from daformer_kedro.errors import InputError
from daformer_kedro.run_state import RunState
from daformer_kedro.storage.lock import Lock
from daformer_kedro.tracking.database import (
    database_file,
    is_unfinished,
    make_database,
)
from daformer_kedro.tracking.retry_queue import RetryQueue
from daformer_kedro.usage import UsageError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses what its own dependencies deprecate
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig

_PATIENCE = 120.0  # seconds; on a busy machine MLflow takes many to make its database
_LONGEST_SETUP = 60.0  # seconds that another machine may take
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
_KIND = "mlflow.experimentKind"
_TRAINING = "custom_model_development"
_CHOSEN_BY_USER = ("genai_development", _TRAINING)


def connect(context: Any, state: RunState, queue: RetryQueue) -> str:
    """Set MLflow up, and return the id of the experiment; empty if it does not answer.

    ``context.mlflow`` becomes the settings, which ``kedro mlflow ui`` reads too. Where
    a run of MLflow's is active already, its connection is used.

    Raises:
        UsageError: a mistake in ``mlflow.yml``.
    """
    use_defaults(state.project)
    config = _settings(context.config_loader["mlflow"])
    context.__setattr__("mlflow", config)
    active = mlflow.active_run()
    if active is not None:
        config.server.mlflow_tracking_uri = mlflow.get_tracking_uri()
        return str(active.info.experiment_id)
    found: list[Experiment] = []
    file = database_file(config.server.mlflow_tracking_uri, state.project)
    path = (
        file.with_name(f"{file.name}.lock") if file else state.journal / "mlflow.lock"
    )
    lock = Lock(path, "MLflow")
    # MLflow cannot make its tables for two processes at once. A lock that cannot be
    # acquired must not cost the log: without it, making them is tried too.
    with suppress(InputError):
        lock.acquire(patience=_PATIENCE)
    try:
        queue.attempt(lambda: found.append(_experiment(config, context, file)))
    finally:
        lock.release()
    if not found:
        return ""
    queue.attempt(lambda: mark_as_training(found[0]))
    return str(found[0].experiment_id)


def use_defaults(project: Path) -> None:
    """Set how long to wait for an answer, and have the machine's load logged.

    Environment variables that the user has set stay as they are.
    """
    # MLflow's default lies in the working directory. It writes that into SQL by hand,
    # where an apostrophe is an error; a URI has none.
    os.environ[_ARTIFACT_ROOT] = (project / "mlartifacts").as_uri()
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if _SYSTEM_METRICS not in os.environ:
        mlflow.enable_system_metrics_logging()
    # MLflow sets its own level when it is imported, after Kedro has set levels.
    logging.getLogger("mlflow").setLevel(logging.WARNING)


def mark_as_training(experiment: Experiment) -> None:
    """Have MLflow open an experiment on its training runs.

    Without the tag MLflow guesses, and writes down what it guessed; that is replaced,
    what a user has chosen is not.
    """
    if experiment.tags.get(_KIND) not in _CHOSEN_BY_USER:
        MlflowClient().set_experiment_tag(experiment.experiment_id, _KIND, _TRAINING)


def _settings(values: dict[str, Any]) -> KedroMlflowConfig:
    try:
        return KedroMlflowConfig.model_validate(values)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise UsageError("\n".join(["conf/*/mlflow.yml:", *faults])) from error


def _experiment(
    config: KedroMlflowConfig, context: Any, file: Path | None
) -> Experiment:
    """Make the database and the experiment where they are not there yet."""
    if file is not None:
        make_database(file)
    try:
        _set_up(config, context)
    except Exception as error:
        if file is None or not is_unfinished(file):
            raise
        raise InputError(
            f"{file} is unfinished: the process that made it was killed. It "
            "holds no run; remove it, and the next run makes another"
        ) from error
    found = MlflowClient().get_experiment_by_name(config.tracking.experiment.name)
    if found is None:
        raise MlflowException("the experiment could not be made")
    return found


def _set_up(config: KedroMlflowConfig, context: Any) -> None:
    """Have kedro-mlflow do it, which another machine may do at the same moment.

    A database like PostgreSQL then says that a table is there already, until the other
    has made all of them.
    """
    from sqlalchemy.exc import IntegrityError, ProgrammingError  # not to list pipelines

    end = time.monotonic() + _LONGEST_SETUP
    for attempt in count():
        try:
            config.setup(context)
            return
        except Exception as error:
            is_there = isinstance(error, IntegrityError | ProgrammingError)
            if attempt and not (is_there and time.monotonic() < end):
                raise
            time.sleep(1.0)
