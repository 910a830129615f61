"""From the metrics of every task to the result of the run."""

from daformer_kedro.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
