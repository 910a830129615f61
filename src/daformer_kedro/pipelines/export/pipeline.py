"""Export: a finished model in, files for other programs out; no part of a run."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.export.nodes import export_model_node
from daformer_kedro.pipelines.naming import USES_FINISHED_MODEL


def create_pipeline() -> Pipeline:
    """Export the model of any finished run."""
    return Pipeline(
        [
            node(
                export_model_node,
                inputs="export_source",
                outputs="exported_model",
                name="export_model",
            )
        ],
        tags=["export", USES_FINISHED_MODEL],
    )
