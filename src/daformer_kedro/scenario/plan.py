"""Plan of the tasks of a run, known and checked before any image is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.class_order import resolve_class_order
from daformer_kedro.scenario.sources import SourceDescription, describe_source
from daformer_kedro.scenario.sources.validation_share import refuse_no_share
from daformer_kedro.scenario.tasks import resolve_task_sizes


@dataclass(frozen=True)
class TaskPlan:
    """Source, class order and task sizes of a run."""

    source: SourceDescription
    class_order: tuple[int, ...]
    task_sizes: tuple[int, ...]

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_sizes)


def make_plan(config: Config, index: Path | None = None) -> TaskPlan:
    """Work out the tasks, and check the sections against each other.

    Args:
        config: all settings of a run.
        index: where an earlier run with the same source noted what it read, which
            stands in for images that are away.

    Raises:
        InputError: the class order is not a permutation, increments do not add up, the
            memory has fewer places than there are classes, the normalisation has
            another number of channels, or there are no validation images to do what
            the settings ask for.
    """
    stream = config.scenario.tasks
    source = describe_source(
        config.source,
        image_size=config.preprocessing.image_size,
        stream=stream,
        index=index,
    )
    plan = TaskPlan(
        source=source,
        class_order=resolve_class_order(
            config.scenario.class_order,
            source_name=config.source.name,
            num_classes=source.num_classes,
            seed=config.seed,
        ),
        task_sizes=source.task_sizes
        or resolve_task_sizes(
            source.num_classes,
            config.scenario.initial_increment,
            config.scenario.increment,
        ),
    )
    if config.memory.keep == "exemplars":
        config.memory.exemplars_per_class(source.num_classes)  # raises if too few
    _check_images(config, source)
    _check_validation(config, source)
    return plan


def _check_images(config: Config, source: SourceDescription) -> None:
    _check_copies(config)
    given = len(config.preprocessing.mean)
    if given != source.num_channels:
        raise InputError(
            f"preprocessing.mean = {list(config.preprocessing.mean)} has {given} "
            f"channels; images of {source.name} have {source.num_channels}"
        )


def _check_validation(config: Config, source: SourceDescription) -> None:
    if config.source.on_validation and not source.has_validation:
        refuse_no_share()
    if config.trains and config.training.patience and not source.has_validation:
        raise InputError(
            f"training.patience = {config.training.patience} needs validation images; "
            "set source.validation_fraction, or give a folder of them beside those to "
            "train and to test"
        )


def _check_copies(config: Config) -> None:
    size, side = config.source.cache_size, config.preprocessing.image_size
    needed = config.preprocessing.resize or side
    if size is not None and needed is not None and size < needed:
        name = "resize" if config.preprocessing.resize else "image_size"
        raise InputError(
            f"source.cache_size = {size} is smaller than preprocessing.{name} = "
            f"{needed}; copies would be enlarged again. Give at least {needed}, or null"
        )
