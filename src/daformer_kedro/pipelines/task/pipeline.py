"""Pipeline of one incremental task, in a namespace of its own."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node

from daformer_kedro.config.run import Config
from daformer_kedro.methods import Method
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.pipelines.task.closed_form_nodes import learn_task_node
from daformer_kedro.pipelines.task.evaluation_nodes import evaluate_task_node
from daformer_kedro.pipelines.task.exemplar_nodes import draw_exemplars_node
from daformer_kedro.pipelines.task.method_nodes import (
    choose_by_method_node,
    finish_task_node,
    learn_by_method_node,
)
from daformer_kedro.pipelines.task.nodes import (
    assemble_task_data_node,
    find_teacher_neighbours_node,
    finetune_on_memory_node,
    select_exemplars_node,
    train_task_node,
)

_IMAGES, _EMBEDDED = "images", "embedded_images"
_METHOD = {
    "baseline": "params:baseline",
    "baseline_settings": "params:baseline_settings",
}
"""Inputs of a step that is a method's own."""


def create_pipeline(task: int, config: Config) -> Pipeline:
    """Build the pipeline that learns one task.

    The first task has no teacher and no finetuning; without a memory
    (``memory.keep: nothing``) it has no exemplars either. Where the method brings its
    own way to learn, to choose or to finish, that is the step. What a task takes from
    the one before is its checkpoint, its exemplars, what its method carries, and
    nothing else.

    Args:
        task: number of the task, from 0.
        config: says which nodes there are.
    """
    has_memory = config.memory.keep != "nothing"
    is_fixed = encoder_class(config.model.encoder).is_fixed(config.model)
    source = _EMBEDDED if is_fixed else _IMAGES  # of what the network reads
    finetunes, finishes = config.finetunes(task), config.method.brings("finish")
    trained = "trained" if finetunes or finishes else "checkpoint"
    learned = "finetuned" if finetunes else "trained"
    nodes = [
        _assemble(task, has_memory),
        *([_find_neighbours(source)] if task > 0 and config.trains else []),
        _train(task, source, trained, config.method)
        if config.trains
        else _learn(task, source),
        *([_select(task, source, trained, config)] if has_memory else []),
        *(
            [_finetune(source, "finetuned" if finishes else "checkpoint")]
            if finetunes
            else []
        ),
        *([_finish(source, learned)] if finishes else []),
        _evaluate(task, source, config),
        *([_draw()] if config.memory.keep == "exemplars" else []),
    ]
    parameters = {
        name for n in nodes for name in n.inputs if name.startswith("params:")
    }
    inputs: dict[str, str] = {}
    if config.scenario.tasks is None:  # else each task has its own, which later folders
        used = {name for n in nodes for name in n.inputs}  # do not change
        inputs |= {name: name for name in (_IMAGES, _EMBEDDED) if name in used}
    if task > 0:
        before = task_name(task - 1)
        inputs["previous_checkpoint"] = f"{before}.checkpoint"
        if has_memory:
            inputs["previous_exemplars"] = f"{before}.exemplars"
        if config.method.carries:
            inputs["previous_statistics"] = f"{before}.statistics"
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


def _find_neighbours(source: str) -> Node:
    return node(
        find_teacher_neighbours_node,
        inputs={
            "images": source,
            "task_data": "task_data",
            "teacher": "previous_checkpoint",
            "num_neighbours": "params:losses.knn_distillation.num_neighbours",
            "evaluation": "params:evaluation",
            "device": "params:training.device",
        },
        outputs="neighbourhood",
        name="find_teacher_neighbours",
        tags="distillation",
    )


def _train(task: int, source: str, output: str, method: Method) -> Node:
    inputs = {
        "images": source,
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
    outputs = [output, "training_history"]
    is_own = method.brings("learn")
    if is_own:
        inputs |= _METHOD
    if is_own and method.carries:
        outputs.append("statistics")
        inputs |= {"carried": "previous_statistics"} if task > 0 else {}
    return node(
        learn_by_method_node if is_own else train_task_node,
        inputs=inputs,
        outputs=outputs,
        name="train_task",
        tags="training",
    )


def _learn(task: int, source: str) -> Node:
    inputs = {
        "images": source,
        "samples": "samples",
        "task_data": "task_data",
        "model": "params:model",
        **_METHOD,
        "preprocessing": "params:preprocessing",
        "evaluation": "params:evaluation",
        "seed": "params:seed",
        "device": "params:training.device",
        "class_balance": "params:training.class_balance",
    }
    if task > 0:
        inputs |= {
            "previous": "previous_checkpoint",
            "statistics": "previous_statistics",
        }
    return node(
        learn_task_node,
        inputs=inputs,
        outputs=["checkpoint", "statistics", "held_out"],
        name="learn_task",
        tags="training",
    )


def _select(task: int, source: str, trained: str, config: Config) -> Node:
    inputs = {
        "images": source,
        "task_data": "task_data",
        "trained": trained,
        "memory": "params:memory",
        "evaluation": "params:evaluation",
        "seed": "params:seed",
        "device": "params:training.device",
    }
    if task > 0:
        inputs["exemplars"] = "previous_exemplars"
    is_own = config.method.brings("choose") and config.memory.keep == "exemplars"
    if is_own:
        inputs |= _METHOD
    return node(
        choose_by_method_node if is_own else select_exemplars_node,
        inputs=inputs,
        outputs="exemplars",
        name="select_exemplars",
        tags="memory",
    )


def _finetune(source: str, output: str) -> Node:
    return node(
        finetune_on_memory_node,
        inputs={
            "images": source,
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


def _finish(source: str, learned: str) -> Node:
    return node(
        finish_task_node,
        inputs={
            "images": source,
            "exemplars": "exemplars",
            "learned": learned,
            **_METHOD,
            "evaluation": "params:evaluation",
            "device": "params:training.device",
        },
        outputs="checkpoint",
        name="finish_task",
        tags="training",
    )


def _evaluate(task: int, source: str, config: Config) -> Node:
    inputs = {
        "images": source,
        "samples": "samples",
        "checkpoint": "checkpoint",
        "evaluation": "params:evaluation",
        "device": "params:training.device",
    }
    if config.memory.keep != "nothing":
        inputs["exemplars"] = "exemplars"
    if task > 0 and config.trains:
        inputs |= {"task_data": "task_data", "neighbourhood": "neighbourhood"}
    if config.trains and config.training.may_end_early:
        histories = ["training", *(["finetuning"] if config.finetunes(task) else [])]
        inputs |= {name: name for name in (f"{phase}_history" for phase in histories)}
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
