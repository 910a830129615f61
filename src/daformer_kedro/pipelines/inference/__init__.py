"""Inference: image files to a table of a trained model's answers."""

from daformer_kedro.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
