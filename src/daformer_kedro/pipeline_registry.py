"""The project's pipelines, as many tasks long as the settings say."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
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

_STANDALONE: Mapping[str, Callable[[], Pipeline]] = {
    "comparison": comparison.create_pipeline,
    "export": export.create_pipeline,
    "inference": inference.create_pipeline,
    MONITOR: monitor.create_pipeline,
    STUDY: study.create_pipeline,
}

_MOST_KEPT = 8
"""Settings whose pipelines are kept, for a server that is asked for several."""


def register_pipelines() -> Mapping[str, Pipeline]:
    """Return all pipelines by name: ``ingestion``, ``task_00`` …, ``evaluation``.

    ``__default__`` is all of these, without the standalone ones.
    """
    return ProjectPipelines()


class ProjectPipelines(Mapping[str, Pipeline]):
    """Pipelines of the settings of whoever asks.

    Kedro keeps one registry for a whole process. Its server answers several requests
    at once, each with parameters of its own: each finds its own pipelines here. Within
    a session the settings are the session's; without one (``kedro registry list``) they
    are those of the environment that ``KEDRO_ENV`` names.

    The standalone pipelines are there without the images.

    Raises:
        UsageError: the settings cannot be used, or the images are not there.
    """

    def __getitem__(self, name: str) -> Pipeline:
        if name in _STANDALONE:
            return _STANDALONE[name]()
        return self._of_run()[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._of_run(), *_STANDALONE])

    def __len__(self) -> int:
        return len(self._of_run()) + len(_STANDALONE)

    def _of_run(self) -> dict[str, Pipeline]:
        state = state_of_pipelines() or self._without_session
        if not state.needs_source:
            return {}
        try:
            return _build_pipelines(state)
        except InputError as error:
            raise UsageError(str(error)) from error

    @cached_property
    def _without_session(self) -> RunState:
        try:
            return _state_without_session()
        except InputError as error:
            raise UsageError(str(error)) from error


@lru_cache(maxsize=_MOST_KEPT)
def _build_pipelines(state: RunState) -> dict[str, Pipeline]:
    config, num_tasks = state.config, state.tasks.num_tasks
    with warnings.catch_warnings():
        # A task takes the checkpoint of the task before by its dotted name. Kedro warns
        # of every name from another namespace; here it is meant.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        pipelines = {"ingestion": ingestion.create_pipeline(num_tasks, config)}
        for number in range(num_tasks):
            pipelines[task_name(number)] = task.create_pipeline(number, config)
        pipelines["evaluation"] = evaluation.create_pipeline(num_tasks, config)
        pipelines["__default__"] = sum(pipelines.values(), Pipeline([]))
    return pipelines


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
