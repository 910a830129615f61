"""One incremental task: its data, training, exemplars, finetuning, evaluation."""

from daformer_kedro.pipelines.task.pipeline import create_pipeline

__all__ = ["create_pipeline"]
