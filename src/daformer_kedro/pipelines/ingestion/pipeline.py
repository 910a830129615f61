"""Ingestion: read, order the classes, split into tasks."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.ingestion.nodes import (
    order_classes_node,
    read_images_node,
    split_tasks_node,
)
from daformer_kedro.pipelines.naming import READS_SOURCE_FILES, task_name


def create_pipeline(num_tasks: int) -> Pipeline:
    """Images as arrays, the class order, and a table of samples for each task."""
    return Pipeline(
        [
            node(
                read_images_node,
                inputs="params:source",
                outputs="images",
                name="read_images",
                tags=READS_SOURCE_FILES,
            ),
            node(
                order_classes_node,
                inputs=["images", "params:source", "params:scenario", "params:seed"],
                outputs="scenario",
                name="order_classes",
            ),
            node(
                split_tasks_node,
                inputs=["images", "scenario"],
                outputs=[f"{task_name(task)}.samples" for task in range(num_tasks)],
                name="split_tasks",
            ),
        ],
        tags="ingestion",
    )
