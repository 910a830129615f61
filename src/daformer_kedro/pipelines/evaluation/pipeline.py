"""Evaluation: one arrow in from every task, results and figures out."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node

from daformer_kedro.config import Config
from daformer_kedro.pipelines.evaluation.nodes import (
    draw_accuracy_node,
    draw_confusion_node,
    draw_exemplars_node,
    draw_training_node,
    join_histories_node,
    summarise_node,
    tabulate_node,
)
from daformer_kedro.pipelines.naming import task_name


def create_pipeline(num_tasks: int, config: Config) -> Pipeline:
    """Metrics of the run, its tables and its figures.

    Args:
        num_tasks: tasks of the run.
        config: says whether there is a memory to show.
    """
    tasks = [task_name(number) for number in range(num_tasks)]
    nodes = [
        node(
            summarise_node,
            inputs=[f"{task}.metrics" for task in tasks],
            outputs="metrics",
            name="summarise",
        ),
        node(
            tabulate_node,
            inputs="metrics",
            outputs=["results", "accuracy_matrix"],
            name="tabulate",
        ),
        node(
            join_histories_node,
            inputs=_histories(tasks, config),
            outputs="history",
            name="join_histories",
        ),
        *_figures(tasks[-1]),
    ]
    if config.memory.keep == "exemplars":
        nodes.append(
            node(
                draw_exemplars_node,
                inputs=["images", f"{tasks[-1]}.exemplars", "scenario"],
                outputs="exemplar_sheet",
                name="draw_exemplars",
                tags="figures",
            )
        )
    return Pipeline(nodes, tags="evaluation")


def _histories(tasks: list[str], config: Config) -> list[str]:
    names = []
    for number, task in enumerate(tasks):
        names.append(f"{task}.training_history")
        if config.finetunes(number):
            names.append(f"{task}.finetuning_history")
    return names


def _figures(last_task: str) -> list[Node]:
    return [
        node(
            draw_accuracy_node,
            inputs=["metrics", "params:protocol", "params:model"],
            outputs=[
                "accuracy_matrix_figure",
                "incremental_accuracy_figure",
                "forgetting_figure",
                "neighbourhood_preservation_figure",
            ],
            name="draw_accuracy",
            tags="figures",
        ),
        node(
            draw_confusion_node,
            inputs=[f"{last_task}.predictions", "scenario"],
            outputs="confusion_matrix_figure",
            name="draw_confusion",
            tags="figures",
        ),
        node(
            draw_training_node,
            inputs="history",
            outputs="training_curves_figure",
            name="draw_training",
            tags="figures",
        ),
    ]
