"""Sections of the settings as frozen dataclasses; all together in ``config.run``."""

from daformer_kedro.config.data_sections import (
    AugmentationConfig,
    PreprocessingConfig,
    RandomAffineConfig,
    ScenarioConfig,
    SourceConfig,
)
from daformer_kedro.config.learning_sections import (
    EvaluationConfig,
    FinetuningConfig,
    MemoryConfig,
    ModelConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.monitor_section import MonitorConfig
from daformer_kedro.config.output_sections import (
    CacheConfig,
    ComparisonConfig,
    ExportConfig,
    InferenceConfig,
    MlflowConfig,
)
from daformer_kedro.validation import validated

__all__ = [
    "AugmentationConfig",
    "CacheConfig",
    "ComparisonConfig",
    "EvaluationConfig",
    "ExportConfig",
    "FinetuningConfig",
    "InferenceConfig",
    "MemoryConfig",
    "MlflowConfig",
    "ModelConfig",
    "MonitorConfig",
    "PreprocessingConfig",
    "RandomAffineConfig",
    "ScenarioConfig",
    "SharpnessConfig",
    "SourceConfig",
    "TrainingConfig",
    "validated",
]
