"""Runs of the pipeline ``monitor``, in an experiment apart from training runs."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from daformer_kedro.run_state import RunState
from daformer_kedro.storage.processes import identity
from daformer_kedro.tracking.retry_queue import RetryQueue
from daformer_kedro.tracking.run_metadata import PROCESS_TAG, PROJECT_TAG


def monitor_experiment(state: RunState, tracking: Any, queue: RetryQueue) -> str:
    """Return the id of the experiment, made if it is not there; empty without answer.

    Args:
        state: its settings name the experiment.
        tracking: kedro-mlflow's settings, which say where artifacts lie.
        queue: of what is sent.
    """
    name = state.config.monitor.experiment
    options = tracking.experiment.create_experiment_kwargs
    found: list[str] = []

    def find() -> None:
        client = MlflowClient()
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            try:
                found.append(client.create_experiment(name, options.artifact_location))
                return
            except MlflowException:  # another process may have been faster
                experiment = client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        found.append(experiment.experiment_id)

    queue.attempt(find)
    return found[0] if found else ""


def monitor_tags(state: RunState) -> dict[str, str]:
    """Return tags of a run that watches a model; none by which trainings are found."""
    return {PROCESS_TAG: identity(), PROJECT_TAG: state.project.as_posix()}


def summary_tags(summary: dict[str, Any]) -> dict[str, str]:
    """Return tags of what was found."""
    return {
        "model": str(summary["model"]),
        "differs": str(summary["differs"]).lower(),
        "next_task_is_due": str(summary["next_task_is_due"]).lower(),
        "mlflow.note.content": f"{summary['sentence']}.",
    }
