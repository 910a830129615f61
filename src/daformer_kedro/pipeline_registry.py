"""The project's pipelines, as many tasks long as the settings say."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.config.run import Config
from daformer_kedro.datasets.images import index_in
from daformer_kedro.errors import InputError
from daformer_kedro.learning.distributed.launch import check_launch
from daformer_kedro.model import check_model
from daformer_kedro.pipelines import (
    comparison,
    evaluation,
    export,
    inference,
    ingestion,
    task,
)
from daformer_kedro.pipelines.ingestion.embedding_checks import check_embedding
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.scenario.plan import make_plan
from daformer_kedro.usage import UsageError

APART: dict[str, Callable[[], Pipeline]] = {
    "comparison": comparison.create_pipeline,
    "export": export.create_pipeline,
    "inference": inference.create_pipeline,
}
"""Pipelines that are no part of a run: they use finished ones."""

_active: Config | None = None
_index: Path | None = None
_needs_source = True


def use_settings(config: Config, project: Path | None = None) -> None:
    """Build the pipelines for ``config`` from now on.

    Args:
        config: the settings.
        project: its root, below which earlier results lie.

    Raises:
        InputError: the sections contradict each other or the source of images.
    """
    global _active, _index
    _index = None if project is None else index_in(project, config)
    if _needs_source:
        _check(config)
    _active = config


def expect(names: Iterable[str]) -> None:
    """Say what will be run, before :func:`use_settings`.

    Pipelines of :data:`APART` need no images, so these need not be there for them.
    """
    global _needs_source
    _needs_source = not set(names) <= set(APART)


def _check(config: Config) -> None:
    """Find out before anything runs what would fail after hours."""
    plan = make_plan(config, _index)
    check_model(config.model, plan.source.image_size)
    check_embedding(config)
    check_launch(config.training)
    Augmentation(
        config.augmentation,
        image_size=plan.source.image_size,
        preprocessing=config.preprocessing,
        device="cpu",
    )


def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines by name: ``ingestion``, ``task_00`` …, ``evaluation``.

    ``__default__`` is all of these; those of :data:`APART` stand apart. Within a
    session the settings are the session's; without one (``kedro registry list``) they
    are those of the environment that ``KEDRO_ENV`` names.

    Raises:
        UsageError: the settings cannot be used, or the images are not there.
    """
    with warnings.catch_warnings():
        # A task takes the checkpoint of the task before by its dotted name. Kedro warns
        # of every name from another namespace; here it is meant.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        try:
            return _build_pipelines(_active or _settings_without_session())
        except InputError as error:
            raise UsageError(str(error)) from error


def _build_pipelines(config: Config) -> dict[str, Pipeline]:
    apart = {name: create() for name, create in APART.items()}
    if not _needs_source:
        return apart
    num_tasks = make_plan(config, _index).num_tasks
    pipelines = {"ingestion": ingestion.create_pipeline(num_tasks, config)}
    for number in range(num_tasks):
        pipelines[task_name(number)] = task.create_pipeline(number, config)
    pipelines["evaluation"] = evaluation.create_pipeline(num_tasks, config)
    pipelines["__default__"] = sum(pipelines.values(), Pipeline([]))
    return pipelines | apart


def _settings_without_session() -> Config:
    global _index
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    bootstrap_project(project)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE),
        env=os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    _index = index_in(project, loader.config)
    return loader.config
