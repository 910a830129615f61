"""Comparison: finished runs in, a table and a figure out; no part of a run."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.comparison.nodes import (
    average_runs_node,
    compare_pairs_node,
    compare_runs_node,
    draw_comparison_node,
    draw_costs_node,
    draw_differences_node,
    tabulate_costs_node,
    write_comparison_node,
)


def create_pipeline() -> Pipeline:
    """Average repeats, compare them with one another and with published results."""
    return Pipeline(
        [
            node(
                compare_runs_node,
                inputs="finished_runs",
                outputs=["comparison", "comparison_latex"],
                name="compare_runs",
            ),
            node(
                compare_pairs_node,
                inputs=["finished_runs", "stored_predictions"],
                outputs="differences",
                name="compare_pairs",
            ),
            node(
                tabulate_costs_node,
                inputs="finished_runs",
                outputs="costs",
                name="tabulate_costs",
            ),
            node(
                write_comparison_node,
                inputs=["comparison", "differences", "costs"],
                outputs="comparison_markdown",
                name="write_comparison",
            ),
            node(
                average_runs_node,
                inputs="finished_runs",
                outputs="comparison_curves",
                name="average_runs",
            ),
            node(
                draw_comparison_node,
                inputs=["comparison_curves", "comparison"],
                outputs="comparison_chart",
                name="draw_comparison",
                tags="figures",
            ),
            node(
                draw_differences_node,
                inputs="differences",
                outputs="differences_chart",
                name="draw_differences",
                tags="figures",
            ),
            node(
                draw_costs_node,
                inputs="costs",
                outputs="costs_chart",
                name="draw_costs",
                tags="figures",
            ),
        ],
        tags="comparison",
    )
