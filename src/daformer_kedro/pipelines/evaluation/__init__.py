"""Evaluation: the results of a run from the metrics of its tasks."""

from daformer_kedro.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
