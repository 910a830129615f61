"""Pipeline of one incremental task, in a namespace of its own."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node

from daformer_kedro.config.run import Config
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.pipelines.task.evaluation_nodes import evaluate_task_node
from daformer_kedro.pipelines.task.exemplar_nodes import draw_exemplars_node
from daformer_kedro.pipelines.task.finish_nodes import finish_task_node
from daformer_kedro.pipelines.task.nodes import (
    assemble_task_data_node,
    find_teacher_neighbours_node,
    finetune_on_memory_node,
    select_exemplars_node,
    train_task_node,
)

_SHARED_INPUTS = {"images"}


def create_pipeline(task: int, config: Config) -> Pipeline:
    """Build the pipeline that learns one task.

    The first task has no teacher and no finetuning; without a memory
    (``memory.keep: nothing``) it has no exemplars either. A method that changes the
    learned model has a step of its own at the end. What a task takes from
    the one before is its checkpoint and its exemplars, and nothing else.

    Args:
        task: number of the task, from 0.
        config: says which nodes there are.
    """
    has_memory = config.memory.keep != "nothing"
    finetunes, finishes = config.finetunes(task), config.method.finishes
    trained = "trained" if finetunes or finishes else "checkpoint"
    learned = "finetuned" if finetunes else "trained"
    nodes = [
        _assemble(task, has_memory),
        *([_find_neighbours()] if task > 0 else []),
        _train(task, trained),
        *([_select(task, trained)] if has_memory else []),
        *([_finetune("finetuned" if finishes else "checkpoint")] if finetunes else []),
        *([_finish(learned)] if finishes else []),
        _evaluate(task, has_memory),
        *([_draw()] if config.memory.keep == "exemplars" else []),
    ]
    parameters = {
        name for n in nodes for name in n.inputs if name.startswith("params:")
    }
    inputs: dict[str, str] = {name: name for name in _SHARED_INPUTS}
    if config.scenario.tasks is not None:
        del inputs["images"]  # the task's own: folders that come later change nothing
    if task > 0:
        before = task_name(task - 1)
        inputs["previous_checkpoint"] = f"{before}.checkpoint"
        if has_memory:
            inputs["previous_exemplars"] = f"{before}.exemplars"
    return Pipeline(
        nodes,
        inputs=inputs,
        parameters=parameters,
        namespace=task_name(task),
        prefix_datasets_with_namespace=True,
        tags="task",
    )


def _assemble(task: int, has_memory: bool) -> Node:
    inputs = {"samples": "samples"}
    if task > 0 and has_memory:
        inputs["exemplars"] = "previous_exemplars"
    return node(
        assemble_task_data_node,
        inputs=inputs,
        outputs="task_data",
        name="assemble_task_data",
    )


def _find_neighbours() -> Node:
    return node(
        find_teacher_neighbours_node,
        inputs={
            "images": "images",
            "task_data": "task_data",
            "teacher": "previous_checkpoint",
            "knn_distillation": "params:losses.knn_distillation",
            "evaluation": "params:evaluation",
            "device": "params:training.device",
        },
        outputs="neighbourhood",
        name="find_teacher_neighbours",
        tags="distillation",
    )


def _train(task: int, output: str) -> Node:
    inputs = {
        "images": "images",
        "samples": "samples",
        "task_data": "task_data",
        "model": "params:model",
        "training": "params:training",
        "losses": "params:losses",
        "augmentation": "params:augmentation",
        "preprocessing": "params:preprocessing",
        "seed": "params:seed",
        "state": "training_state",
    }
    if task > 0:
        inputs |= {"previous": "previous_checkpoint", "neighbourhood": "neighbourhood"}
    return node(
        train_task_node,
        inputs=inputs,
        outputs=[output, "training_history"],
        name="train_task",
        tags="training",
    )


def _select(task: int, trained: str) -> Node:
    inputs = {
        "images": "images",
        "task_data": "task_data",
        "trained": trained,
        "memory": "params:memory",
        "evaluation": "params:evaluation",
        "seed": "params:seed",
        "device": "params:training.device",
    }
    if task > 0:
        inputs["exemplars"] = "previous_exemplars"
    return node(
        select_exemplars_node,
        inputs=inputs,
        outputs="exemplars",
        name="select_exemplars",
        tags="memory",
    )


def _finetune(output: str) -> Node:
    return node(
        finetune_on_memory_node,
        inputs={
            "images": "images",
            "samples": "samples",
            "exemplars": "exemplars",
            "trained": "trained",
            "finetuning": "params:finetuning",
            "training": "params:training",
            "losses": "params:losses",
            "augmentation": "params:augmentation",
            "preprocessing": "params:preprocessing",
            "seed": "params:seed",
            "state": "finetuning_state",
        },
        outputs=[output, "finetuning_history"],
        name="finetune_on_memory",
        tags="training",
    )


def _finish(learned: str) -> Node:
    return node(
        finish_task_node,
        inputs={
            "images": "images",
            "exemplars": "exemplars",
            "learned": learned,
            "baseline": "params:baseline",
            "evaluation": "params:evaluation",
            "device": "params:training.device",
        },
        outputs="checkpoint",
        name="finish_task",
        tags="training",
    )


def _evaluate(task: int, has_memory: bool) -> Node:
    inputs = {
        "images": "images",
        "samples": "samples",
        "checkpoint": "checkpoint",
        "evaluation": "params:evaluation",
        "device": "params:training.device",
    }
    if has_memory:
        inputs["exemplars"] = "exemplars"
    if task > 0:
        inputs |= {"task_data": "task_data", "neighbourhood": "neighbourhood"}
    return node(
        evaluate_task_node,
        inputs=inputs,
        outputs=["predictions", "metrics"],
        name="evaluate_task",
        tags="evaluation",
    )


def _draw() -> Node:
    return node(
        draw_exemplars_node,
        inputs=["images", "samples", "exemplars"],
        outputs="exemplar_sheet",
        name="draw_exemplars",
        tags="figures",
    )
