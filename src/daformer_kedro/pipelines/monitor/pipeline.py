"""Monitor: a finished model and later images in, a report by day out."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.monitor.nodes import (
    compare_days_node,
    draw_days_node,
    read_stream_node,
)
from daformer_kedro.pipelines.naming import (
    DAYS_DIFFER,
    DAYS_TESTED,
    EVALUATION,
    MONITOR,
    MONITOR_SUMMARY,
    USES_FINISHED_MODEL,
)


def create_pipeline() -> Pipeline:
    """Watch a model in use: how its images differ from those it was tested on."""
    return Pipeline(
        [
            node(
                read_stream_node,
                inputs=["monitored_model", "params:monitor"],
                outputs=["monitored_images", "monitor_left_out"],
                name="read_stream",
            ),
            node(
                compare_days_node,
                inputs=[
                    "monitored_model",
                    "monitored_images",
                    "monitor_left_out",
                    "params:monitor",
                ],
                outputs=[
                    "monitor_days",
                    "monitor_classes",
                    MONITOR_SUMMARY,
                    DAYS_DIFFER,
                    DAYS_TESTED,
                ],
                name="compare_days",
                tags=EVALUATION,
            ),
            node(
                draw_days_node,
                inputs=["monitor_days", "params:monitor"],
                outputs="monitor_chart",
                name="draw_days",
                tags=[EVALUATION, "figures"],
            ),
        ],
        tags=[MONITOR, USES_FINISHED_MODEL],
    )
