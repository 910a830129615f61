"""Nodes of the ingestion pipeline."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from daformer_kedro.config import ScenarioConfig, SourceConfig
from daformer_kedro.scenario.class_order import resolve_class_order
from daformer_kedro.scenario.image_files import ImageFiles, LeftOut
from daformer_kedro.scenario.images import ImageArrays, Images
from daformer_kedro.scenario.samples import samples_of_task
from daformer_kedro.scenario.sources import index_source, read_source
from daformer_kedro.scenario.tasks import Scenario, resolve_task_sizes, split_tasks


def read_images_node(source: SourceConfig) -> ImageArrays:
    """Read the source's images and labels, whatever the layout."""
    images = read_source(source)
    assert isinstance(images, ImageArrays)
    return images


def index_images_node(
    source: SourceConfig,
    image_size: int | None,
    resize: int | None,
    stream: list[str] | None,
    copies: str | None = None,
) -> tuple[ImageFiles, dict[str, Any]]:
    """List images that stay files, and the files that are left out."""
    images, left_out = index_source(
        source,
        image_size=image_size,
        resize=resize,
        stream=None if stream is None else tuple(stream),
        copies=None if copies is None else Path(copies),
    )
    return images, left_out.to_json()


def images_of_tasks_node(
    images: ImageFiles, scenario: dict[str, Any]
) -> list[ImageFiles]:
    """Select for each task the files of its folder and of those that came before."""
    sizes = Scenario.from_json(scenario).task_sizes
    return [images.first_classes(num) for num in itertools.accumulate(sizes)]


def list_skipped_node(left_out: dict[str, Any]) -> pd.DataFrame:
    """List images that cannot be read and were left out, each with its reason."""
    skipped = LeftOut.from_json(left_out).skipped
    return pd.DataFrame(list(skipped), columns=["file", "reason"])


def order_classes_node(
    images: Images, source: SourceConfig, scenario: ScenarioConfig, seed: int
) -> dict[str, Any]:
    """Decide in which order classes arrive, and how many with each task."""
    class_order = resolve_class_order(
        scenario.class_order,
        source_name=source.name,
        num_classes=images.num_classes,
        seed=seed,
    )
    return Scenario(
        class_order=class_order,
        task_sizes=_arrived(images)
        or resolve_task_sizes(
            images.num_classes, scenario.initial_increment, scenario.increment
        ),
        class_names=tuple(images.class_names[label] for label in class_order),
    ).to_json()


def _arrived(images: Images) -> tuple[int, ...] | None:
    return images.task_sizes if isinstance(images, ImageFiles) else None


def split_tasks_node(images: Images, scenario: dict[str, Any]) -> list[pd.DataFrame]:
    """Give every task its own classes' training images and all test images so far."""
    division = Scenario.from_json(scenario)
    samples = split_tasks(images, division.class_order, division.task_sizes)
    samples["class_name"] = samples["target"].map(dict(enumerate(division.class_names)))
    return [samples_of_task(samples, task) for task in range(division.num_tasks)]
