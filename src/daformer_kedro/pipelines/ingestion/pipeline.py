"""Ingestion: read, order the classes, split into tasks."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node

from daformer_kedro.config.run import Config
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.pipelines.ingestion.embedding_nodes import embed_images_node
from daformer_kedro.pipelines.ingestion.nodes import (
    images_of_tasks_node,
    index_images_node,
    list_skipped_node,
    order_classes_node,
    read_images_node,
    split_tasks_node,
)
from daformer_kedro.pipelines.naming import READS_SOURCE_FILES, task_name
from daformer_kedro.scenario.sources import FILE_SOURCES


def create_pipeline(num_tasks: int, config: Config) -> Pipeline:
    """Images, the class order, and a table of samples for each task.

    Args:
        num_tasks: tasks of the run.
        config: says whether tasks are folders that arrive over time, and whether
            files may be left out.
    """
    nodes = _read(num_tasks, config)
    if config.scenario.tasks is not None:
        nodes.append(
            node(
                images_of_tasks_node,
                inputs=["images", "scenario"],
                outputs=[f"{task_name(task)}.images" for task in range(num_tasks)],
                name="divide_images",
            )
        )
    if config.source.name in FILE_SOURCES and config.source.on_error == "skip":
        nodes.append(
            node(
                list_skipped_node,
                inputs="left_out",
                outputs="skipped_files",
                name="list_skipped",
            )
        )
    if encoder_class(config.model.encoder).is_fixed(config.model):
        nodes += _embed(num_tasks, config)
    return Pipeline(nodes, tags="ingestion")


def _embed(num_tasks: int, config: Config) -> list[Node]:
    """Embed all images, or those of each folder once it has arrived."""
    if config.scenario.tasks is None:
        return [_embed_images("", None, config)]
    tasks = [f"{task_name(task)}." for task in range(num_tasks)]
    return [
        _embed_images(task, before, config)
        for task, before in zip(tasks, [None, *tasks], strict=False)
    ]


def _embed_images(task: str, before: str | None, config: Config) -> Node:
    inputs = {
        "images": f"{task}images",
        "encoder": "params:model.encoder",
        "encoder_settings": "params:model.encoder_settings",
        "decoder": "params:model.decoder",
        "preprocessing": "params:preprocessing",
        "evaluation": "params:evaluation",
        "device": "params:training.device",
        "state": f"{task}embedding_state",
    }
    if config.augmentation.stored_views > 1:
        inputs["augmentation"] = "params:augmentation"
    if before is not None:
        inputs["previous"] = f"{before}embedded_images"
    return node(
        embed_images_node,
        inputs=inputs,
        outputs=f"{task}embedded_images",
        name=f"embed_images_{task.rstrip('.')}".rstrip("_"),
    )


def _read(num_tasks: int, config: Config) -> list[Node]:
    return [
        _read_images(config),
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
    ]


def _read_images(config: Config) -> Node:
    if config.source.name not in FILE_SOURCES:
        return node(
            read_images_node,
            inputs="params:source",
            outputs="images",
            name="read_images",
            tags=READS_SOURCE_FILES,
        )
    copies = [] if config.source.cache_size is None else ["folder_of_copies"]
    return node(
        index_images_node,
        inputs=[
            "params:source",
            "params:preprocessing.image_size",
            "params:preprocessing.resize",
            "params:scenario.tasks",
            *copies,
        ],
        outputs=["images", "left_out"],
        name="read_images",
        tags=READS_SOURCE_FILES,
    )
