"""Ingestion: raw images to arrays, and classes to tasks."""

from daformer_kedro.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
