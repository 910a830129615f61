"""Study: many trials in, the best settings out; no part of a run."""

from daformer_kedro.pipelines.study.pipeline import create_pipeline

__all__ = ["create_pipeline"]
