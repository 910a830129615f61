"""Comparison: finished runs in, a table and a figure out; no part of a run."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.comparison.nodes import (
    average_runs_node,
    compare_runs_node,
    draw_comparison_node,
)


def create_pipeline() -> Pipeline:
    """Average repeats and compare them with published results."""
    return Pipeline(
        [
            node(
                compare_runs_node,
                inputs="finished_runs",
                outputs=["comparison", "comparison_markdown", "comparison_latex"],
                name="compare_runs",
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
        ],
        tags="comparison",
    )
