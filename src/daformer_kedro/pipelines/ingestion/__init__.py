"""From raw images to arrays, and from classes to tasks."""

from daformer_kedro.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
