"""Monitor: images of a model in use in, a report by day out."""

from daformer_kedro.pipelines.monitor.pipeline import create_pipeline

__all__ = ["create_pipeline"]
