"""Settings as frozen dataclasses, made from Kedro's parameters and validated once."""

from daformer_kedro.config.data_sections import (
    AugmentationConfig,
    PreprocessingConfig,
    RandomAffineConfig,
    ScenarioConfig,
    SourceConfig,
)
from daformer_kedro.config.keys import (
    result_overrides,
    result_settings,
    run_key,
    run_name,
    settings_key,
    source_key,
)
from daformer_kedro.config.learning_sections import (
    EvaluationConfig,
    FinetuningConfig,
    MemoryConfig,
    ModelConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.overlays import apply_overlays, lay_over, merge
from daformer_kedro.config.result_sections import (
    CacheConfig,
    ComparisonConfig,
    ExportConfig,
    InferenceConfig,
    MlflowConfig,
)
from daformer_kedro.config.schedules import SCHEDULES
from daformer_kedro.config.sections import (
    SETTINGS,
    Config,
)
from daformer_kedro.objectives import LossesConfig
from daformer_kedro.validation import validated

__all__ = [
    "SCHEDULES",
    "SETTINGS",
    "AugmentationConfig",
    "CacheConfig",
    "ComparisonConfig",
    "Config",
    "EvaluationConfig",
    "ExportConfig",
    "FinetuningConfig",
    "InferenceConfig",
    "LossesConfig",
    "MemoryConfig",
    "MlflowConfig",
    "ModelConfig",
    "PreprocessingConfig",
    "RandomAffineConfig",
    "ScenarioConfig",
    "SharpnessConfig",
    "SourceConfig",
    "TrainingConfig",
    "apply_overlays",
    "lay_over",
    "merge",
    "result_overrides",
    "result_settings",
    "run_key",
    "run_name",
    "settings_key",
    "source_key",
    "validated",
]
