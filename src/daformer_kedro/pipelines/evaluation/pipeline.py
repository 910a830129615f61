"""Evaluation: metrics of every task in, results and figures out."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node

from daformer_kedro.config.run import SETTINGS, Config
from daformer_kedro.model.decoders import decoder_class
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.pipelines.evaluation.attention_nodes import draw_attention_node
from daformer_kedro.pipelines.evaluation.confidence_nodes import (
    calibrate_node,
    describe_model_node,
    measure_unknown_node,
    summarise_confidence_node,
)
from daformer_kedro.pipelines.evaluation.nodes import (
    draw_accuracy_node,
    draw_confusion_node,
    draw_training_node,
    join_histories_node,
    summarise_node,
    tabulate_node,
    write_report_node,
)
from daformer_kedro.pipelines.naming import task_name
from daformer_kedro.scenario.sources import FILE_SOURCES


def create_pipeline(num_tasks: int, config: Config) -> Pipeline:
    """Build the pipeline of the run's metrics, tables and figures.

    Args:
        num_tasks: tasks of the run.
        config: says which figures and files there are to show.
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
        *([_join_histories(tasks, config)] if config.trains else []),
        *_figures(tasks[-1], config),
        *_confidence(tasks, config),
    ]
    if decoder_class(config.model.decoder).has_attention_maps:
        nodes.append(
            node(
                draw_attention_node,
                inputs=["images", f"{tasks[-1]}.samples", f"{tasks[-1]}.checkpoint"],
                outputs="attention_figure",
                name="draw_attention",
                tags="figures",
            )
        )
    made = {name for n in nodes for name in n.outputs}
    if not config.trains:  # neighbours stay as they are
        made.discard("neighbourhood_preservation_figure")
    if config.source.name in FILE_SOURCES:
        made.add("left_out")
    if config.memory.keep == "exemplars":
        made.add(f"{tasks[-1]}.exemplar_sheet")
    nodes.append(_report(made))
    return Pipeline(nodes, tags="evaluation")


_REPORT_FIGURES = (
    "incremental_accuracy_figure",
    "accuracy_matrix_figure",
    "forgetting_figure",
    "confusion_matrix_figure",
    "neighbourhood_preservation_figure",
    "training_curves_figure",
    "attention_figure",
    "exemplar_sheet",
)
"""In the order in which the report shows them."""


def _report(made: set[str]) -> Node:
    named = {name.rpartition(".")[2]: name for name in made}
    figures = {
        name.removesuffix("_figure"): named[name]
        for name in _REPORT_FIGURES
        if name in named
    }
    return node(
        write_report_node,
        inputs={
            "metrics": "metrics",
            "confidence": "confidence",
            "run_command": "run_command",
            **_settings(),
            **figures,
            **{name: name for name in ("left_out",) if name in made},
        },
        outputs="report",
        name="write_report",
        tags="report",
    )


def _settings() -> dict[str, str]:
    # By section: the run log names settings as the nodes take them.
    return {name: f"params:{name}" for name in SETTINGS}


def _confidence(tasks: list[str], config: Config) -> list[Node]:
    """Make the nodes of calibration and of detection of unknown images."""

    def inputs(task: str) -> dict[str, str]:
        named = {
            "images": "images",
            "samples": f"{tasks[-1]}.samples",
            "checkpoint": f"{task}.checkpoint",
            "evaluation": "params:evaluation",
            "device": "params:training.device",
        }
        if config.memory.keep != "nothing":
            named["exemplars"] = f"{task}.exemplars"
        if not config.trains:
            named["held_out"] = f"{task}.held_out"
        if encoder_class(config.model.encoder).is_fixed(config.model):
            of_stream = "" if config.scenario.tasks is None else f"{tasks[-1]}."
            named["embedded"] = f"{of_stream}embedded_images"
        return named

    last = tasks[-1]
    calibration = f"{last}.calibration"
    return [
        node(
            calibrate_node,
            inputs=inputs(last) | {task: f"{task}.samples" for task in tasks[:-1]},
            outputs=[calibration, f"{last}.known_images", f"{last}.reference"],
            name="calibrate",
            tags="confidence",
        ),
        *(
            node(
                measure_unknown_node,
                inputs=inputs(task),
                outputs=f"{task}.unknown",
                name=f"measure_unknown_{task.removeprefix('task_')}",
                tags="confidence",
            )
            for task in tasks[:-1]
        ),
        node(
            summarise_confidence_node,
            inputs=[calibration, *(f"{task}.unknown" for task in tasks[:-1])],
            outputs="confidence",
            name="summarise_confidence",
            tags="confidence",
        ),
        node(
            describe_model_node,
            inputs={
                "metrics": "metrics",
                "confidence": "confidence",
                "run_command": "run_command",
                **_settings(),
            },
            outputs=f"{last}.model_facts",
            name="describe_model",
            tags="confidence",
        ),
    ]


def _join_histories(tasks: list[str], config: Config) -> Node:
    return node(
        join_histories_node,
        inputs=_histories(tasks, config),
        outputs="history",
        name="join_histories",
    )


def _histories(tasks: list[str], config: Config) -> list[str]:
    names = []
    for number, task in enumerate(tasks):
        names.append(f"{task}.training_history")
        if config.finetunes(number):
            names.append(f"{task}.finetuning_history")
    return names


def _figures(last_task: str, config: Config) -> list[Node]:
    bound = [] if config.method.is_upper_bound else ["joint_metrics"]
    return [
        node(
            draw_accuracy_node,
            inputs=[
                "metrics",
                "params:protocol",
                "params:model.edition",
                "params:baseline",
                "params:training.schedule",
                "params:model.decoder",
                "params:source.validation_fraction",
                "params:source.evaluate_on",
                *bound,
            ],
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
        *(
            [
                node(
                    draw_training_node,
                    inputs="history",
                    outputs="training_curves_figure",
                    name="draw_training",
                    tags="figures",
                )
            ]
            if config.trains
            else []
        ),
    ]
