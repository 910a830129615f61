"""Settings as frozen dataclasses, made from Kedro's parameters and validated once."""

from daformer_kedro.config.baselines import BASELINES, apply_baseline
from daformer_kedro.config.keys import run_key, run_name, source_key
from daformer_kedro.config.sections import (
    AugmentationConfig,
    ClassificationConfig,
    Config,
    DivergenceConfig,
    EvaluationConfig,
    FinetuningConfig,
    KNNDistillationConfig,
    LogitDistillationConfig,
    LossesConfig,
    MemoryConfig,
    ModelConfig,
    PooledDistillationConfig,
    PreprocessingConfig,
    RandomAffineConfig,
    ScenarioConfig,
    SharpnessConfig,
    SourceConfig,
    TrainingConfig,
)
from daformer_kedro.config.validation import validated

__all__ = [
    "BASELINES",
    "AugmentationConfig",
    "ClassificationConfig",
    "Config",
    "DivergenceConfig",
    "EvaluationConfig",
    "FinetuningConfig",
    "KNNDistillationConfig",
    "LogitDistillationConfig",
    "LossesConfig",
    "MemoryConfig",
    "ModelConfig",
    "PooledDistillationConfig",
    "PreprocessingConfig",
    "RandomAffineConfig",
    "ScenarioConfig",
    "SharpnessConfig",
    "SourceConfig",
    "TrainingConfig",
    "apply_baseline",
    "run_key",
    "run_name",
    "source_key",
    "validated",
]
