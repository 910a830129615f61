"""Comparison: many finished runs in one table and one figure."""

from daformer_kedro.pipelines.comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
