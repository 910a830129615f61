"""Values that the catalog and ``mlflow.yml`` name as ``${run_key:}`` and the like."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import OmegaConf

from daformer_kedro.config.run import embedding_key, run_name, source_key
from daformer_kedro.run_state import RunState
from daformer_kedro.runs.study import StudySearch
from daformer_kedro.scenario.image_files import COPIES
from daformer_kedro.storage.sqlite_uri import sqlite_uri


def register_resolvers(state: RunState, joint_run_key: str) -> None:
    """Give the resolvers, which belong to the process, the values of a session.

    Args:
        state: of the session.
        joint_run_key: key of the run with the same settings that is the upper bound.
    """
    config = state.config
    project, scratch = state.project.as_posix(), state.scratch
    given = os.environ.get("MLFLOW_TRACKING_URI")
    values = {
        "run_key": state.run_key,
        "joint_run_key": joint_run_key,
        "source_key": source_key(config),
        "embedding_key": embedding_key(config),
        "folder_of_copies": (
            f"{project}/data/02_intermediate/{source_key(config)}/{COPIES}"
        ),
        "scratch": (scratch or Path("data")).as_posix(),
        "copies_in": scratch and scratch.as_posix(),
        "run_name": run_name(config),
        "run_command": state.command,
        "comparison_filter": config.comparison.filter,
        "comparison_run_keys": config.comparison.run_keys,
        "comparison_experiment": config.comparison.experiment,
        "inference_model": config.inference.model,
        "inference_output": config.inference.output,
        "export_model": config.export.model,
        "monitor_model": config.monitor.model,
        "monitor_output": config.monitor.output,
        "study_name": config.study.name,
        "study_search": StudySearch(state),
        "tracking_uri": given or sqlite_uri(f"{project}/mlflow.db"),
        "artifact_location": f"{project}/mlartifacts",
    }
    for name, value in values.items():
        OmegaConf.register_resolver(name, lambda value=value: value, replace=True)
