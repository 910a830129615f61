"""Nodes of the ingestion pipeline."""

from __future__ import annotations

from typing import Any

import pandas as pd

from daformer_kedro.config import ScenarioConfig, SourceConfig, validated
from daformer_kedro.learning.task_data import samples_of_task
from daformer_kedro.scenario.class_order import resolve_class_order
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources import read_source
from daformer_kedro.scenario.tasks import Scenario, resolve_task_sizes, split_tasks


def read_images_node(source: dict[str, Any]) -> ImageArrays:
    """Read the source's images and labels, whatever the layout they come in."""
    return read_source(validated(SourceConfig, source, "source"))


def order_classes_node(
    images: ImageArrays, source: dict[str, Any], scenario: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Decide in which order classes arrive, and how many with each task."""
    config = validated(ScenarioConfig, scenario, "scenario")
    class_order = resolve_class_order(
        config.class_order,
        source_name=source["name"],
        num_classes=images.num_classes,
        seed=seed,
    )
    return Scenario(
        class_order=class_order,
        task_sizes=resolve_task_sizes(
            images.num_classes, config.initial_increment, config.increment
        ),
        class_names=tuple(images.class_names[label] for label in class_order),
    ).to_json()


def split_tasks_node(
    images: ImageArrays, scenario: dict[str, Any]
) -> list[pd.DataFrame]:
    """Give every task its own classes' training images and all test images so far."""
    division = Scenario.from_json(scenario)
    samples = split_tasks(images, division.class_order, division.task_sizes)
    samples["class_name"] = samples["target"].map(dict(enumerate(division.class_names)))
    return [samples_of_task(samples, task) for task in range(division.num_tasks)]
