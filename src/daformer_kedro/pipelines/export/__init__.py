"""Export: a trained model as files that other programs run."""

from daformer_kedro.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
