"""The project's pipelines, as many tasks long as the settings say."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from kedro.framework import project as kedro_project
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

from daformer_kedro.errors import InputError
from daformer_kedro.pipelines import (
    comparison,
    evaluation,
    export,
    inference,
    ingestion,
    monitor,
    study,
    task,
)
from daformer_kedro.pipelines.naming import MONITOR, STUDY, task_name
from daformer_kedro.run_state import RunState, state_of_pipelines
from daformer_kedro.usage import UsageError


def register_pipelines() -> dict[str, Pipeline]:
    """Return all pipelines by name: ``ingestion``, ``task_00`` …, ``evaluation``.

    ``__default__`` is all of these, without the standalone ones. Within a session the
    settings are the session's; without one (``kedro registry list``) they are those of
    the environment that ``KEDRO_ENV`` names.

    Raises:
        UsageError: the settings cannot be used, or the images are not there.
    """
    with warnings.catch_warnings():
        # A task takes the checkpoint of the task before by its dotted name. Kedro warns
        # of every name from another namespace; here it is meant.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        try:
            return _build_pipelines(state_of_pipelines() or _state_without_session())
        except InputError as error:
            raise UsageError(str(error)) from error


def _build_pipelines(state: RunState) -> dict[str, Pipeline]:
    standalone = {
        "comparison": comparison.create_pipeline(),
        "export": export.create_pipeline(),
        "inference": inference.create_pipeline(),
        MONITOR: monitor.create_pipeline(),
        STUDY: study.create_pipeline(),
    }
    if not state.needs_source:
        return standalone
    config, num_tasks = state.config, state.tasks.num_tasks
    pipelines = {"ingestion": ingestion.create_pipeline(num_tasks, config)}
    for number in range(num_tasks):
        pipelines[task_name(number)] = task.create_pipeline(number, config)
    pipelines["evaluation"] = evaluation.create_pipeline(num_tasks, config)
    pipelines["__default__"] = sum(pipelines.values(), Pipeline([]))
    return pipelines | standalone


def _state_without_session() -> RunState:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    if kedro_project.PACKAGE_NAME is None:  # a command of Kedro's has done it
        bootstrap_project(project)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE),
        env=os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    loader.project = project
    state: RunState = loader.state
    return state
