"""Inference: a finished model and image files in, a table out; no part of a run."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.inference.nodes import predict_images_node
from daformer_kedro.pipelines.naming import USES_FINISHED_MODEL


def create_pipeline() -> Pipeline:
    """Classify files with a model of any finished run."""
    return Pipeline(
        [
            node(
                predict_images_node,
                inputs=["inference_model", "params:inference"],
                outputs=["inference_table", "inference_parquet"],
                name="predict_images",
            )
        ],
        tags=["inference", USES_FINISHED_MODEL],
    )
