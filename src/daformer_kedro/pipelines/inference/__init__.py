"""From image files to a table of what a trained model says of them."""

from daformer_kedro.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
