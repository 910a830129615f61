"""Nodes of the evaluation pipeline: metrics of the run, tables, figures.

Figures are imported where they are drawn: matplotlib takes half a second, and every
command that lists or builds pipelines would wait for it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic_core import to_jsonable_python

from daformer_kedro.config.run import Config, plain_settings, run_name
from daformer_kedro.evaluation.metrics import summarise
from daformer_kedro.evaluation.published import published_for
from daformer_kedro.evaluation.repeats import method_name
from daformer_kedro.evaluation.report import render_report
from daformer_kedro.evaluation.split import is_on_validation
from daformer_kedro.evaluation.summary import summary_table
from daformer_kedro.pipelines.figure import Figure
from daformer_kedro.scenario.tasks import Scenario

Metrics = dict[str, Any]


def summarise_node(*metrics_of_tasks: Metrics) -> Metrics:
    """Compute accuracy matrix, average incremental accuracy, forgetting and others."""
    return summarise(metrics_of_tasks)


def tabulate_node(metrics: Metrics) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate the results by task, and the accuracy matrix, to open anywhere."""
    matrix = pd.DataFrame(metrics["accuracy_matrix"])
    matrix.columns = [f"classes of task {task}" for task in matrix.columns]
    matrix.insert(0, "after task", range(len(matrix)))
    return summary_table(metrics), matrix


def join_histories_node(*histories: pd.DataFrame) -> pd.DataFrame:
    """Join every epoch of every task in one table."""
    return pd.concat(histories, ignore_index=True)


def draw_accuracy_node(
    metrics: Metrics,
    protocol: str,
    edition: str,
    baseline: str,
    schedule: str,
    decoder: str,
    validation_fraction: float | None,
    evaluate_on: str | None,
    joint_metrics: Metrics | None = None,
) -> tuple[Figure, Figure, Figure, Figure]:
    """Draw accuracy matrix, accuracy after each task, forgetting, neighbourhoods kept.

    The upper bound is drawn where joint training has run with the same settings.
    """
    from daformer_kedro.evaluation import figures

    matrix = metrics["accuracy_matrix"]
    benchmark, _, increments = protocol.partition("_")
    published = published_for(benchmark, increments)
    on_validation = is_on_validation(
        {
            "source": {
                "validation_fraction": validation_fraction,
                "evaluate_on": evaluate_on,
            }
        }
    )
    name = method_name(
        edition,
        baseline,
        schedule,
        decoder=decoder,
        on_validation=on_validation,
    )
    curve = {name: metrics["accuracy_after_task"]}
    if joint_metrics is not None and len(joint_metrics["accuracy_matrix"]) != len(
        matrix
    ):
        joint_metrics = None  # of a stream of folders before it has grown
    return (
        figures.accuracy_matrix_figure(
            matrix, [str(task) for task in range(len(matrix))]
        ),
        figures.incremental_accuracy_figure(
            curve,
            metrics["num_classes_seen"],
            published=None if published.empty else published,
            joint=None if joint_metrics is None else joint_metrics["last_accuracy"],
            images="validation" if on_validation else "test",
        ),
        figures.forgetting_figure(matrix),
        figures.neighbourhood_preservation_figure(
            metrics["neighbourhood_preservation"]
        ),
    )


def draw_confusion_node(predictions: pd.DataFrame, scenario: dict[str, Any]) -> Figure:
    """Draw the confusion matrix of the final model, ordered by task."""
    from daformer_kedro.evaluation import figures

    division = Scenario.from_json(scenario)
    return figures.confusion_matrix_figure(
        predictions, division.task_sizes, division.class_names
    )


def draw_training_node(history: pd.DataFrame) -> Figure:
    """Draw loss terms and learning rate over all epochs."""
    from daformer_kedro.evaluation import figures

    return figures.training_curves_figure(history)


def write_report_node(
    metrics: Metrics,
    run_command: str,
    confidence: Metrics | None = None,
    left_out: dict[str, Any] | None = None,
    **parts: Any,
) -> str:
    """Write a page with everything: results, figures, settings, how to run it again.

    ``parts`` are figures (PNG) and sections of the parameters, by name.
    """
    pngs = {name: part for name, part in parts.items() if isinstance(part, bytes)}
    config = Config.from_parameters(
        {name: part for name, part in parts.items() if name not in pngs}
    )
    settings = to_jsonable_python(plain_settings(config))  # lists, as in YAML
    title = run_name(config)
    if config.training.schedule != "published":
        title += f" – {config.training.schedule} schedule, not the published one"
    return render_report(
        title, metrics, settings, pngs, run_command, left_out, confidence
    )
