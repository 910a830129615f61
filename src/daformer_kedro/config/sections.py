"""Settings as frozen dataclasses, made from Kedro's parameters and validated once.

Each top-level key of ``conf/*/parameters*.yml`` is one class here. Node functions
build only the sections they read, so that a stored result depends on those alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from daformer_kedro.config.data_sections import (
    AugmentationConfig,
    PreprocessingConfig,
    ScenarioConfig,
    SourceConfig,
)
from daformer_kedro.config.learning_sections import (
    EvaluationConfig,
    FinetuningConfig,
    LossesConfig,
    MemoryConfig,
    ModelConfig,
    TrainingConfig,
    check_batch_size,
)
from daformer_kedro.config.result_sections import (
    CacheConfig,
    ComparisonConfig,
    ExportConfig,
    InferenceConfig,
    MlflowConfig,
)
from daformer_kedro.config.types import STRICT, NonNegativeInt
from daformer_kedro.config.validation import validated


@dataclass(frozen=True, config=STRICT)
class Config:
    """Every section of the parameters.

    Attributes:
        protocol: name of the benchmark, as runs are grouped by; free text.
        seed: seed of weights, class shuffles, augmentation and batch order.
        baseline: which of :data:`BASELINES` the parameters were made for.
    """

    protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]+$")] = "digits"
    seed: NonNegativeInt = 0
    baseline: Literal[
        "none",
        "finetune",
        "replay",
        "joint",
        "dytox",
        "dytox_plus",
        "dytox_plusplus",
    ] = "none"
    source: SourceConfig = Field(default_factory=SourceConfig)
    scenario: ScenarioConfig = Field(default_factory=ScenarioConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    preprocessing: PreprocessingConfig = Field(default_factory=PreprocessingConfig)
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    losses: LossesConfig = Field(default_factory=LossesConfig)
    memory: MemoryConfig = Field(default_factory=lambda: MemoryConfig(total=2000))
    finetuning: FinetuningConfig = Field(default_factory=FinetuningConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    comparison: ComparisonConfig = Field(default_factory=ComparisonConfig)
    mlflow: MlflowConfig = Field(default_factory=MlflowConfig)
    inference: InferenceConfig = Field(default_factory=InferenceConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    cache: CacheConfig = Field(default_factory=CacheConfig)

    @model_validator(mode="after")
    def _check(self) -> Config:
        if self.finetuning.epochs and self.memory.keep != "nothing":
            check_batch_size(
                "finetuning.batch_size", self.finetuning.batch_size, self.training
            )
        pooled = self.losses.pooled_distillation.weight
        if pooled > 0 and self.model.depth < 3:
            raise ValueError(
                f"losses.pooled_distillation.weight = {pooled} compares the encoder's "
                f"blocks but the last, and model.depth = {self.model.depth} has no "
                "other; allowed: a depth of at least 3, or weight 0"
            )
        self._check_neighbours()
        return self

    def _check_neighbours(self) -> None:
        """Refuse batches in which no sample can have two neighbours."""
        knn = self.losses.knn_distillation
        repeats = self.augmentation.repeats
        if knn.weight == 0 or knn.scope != "batch":
            return
        if self.training.batch_size < 3 * repeats:
            raise ValueError(
                f"losses.knn_distillation.scope = batch compares each image with two "
                f"others at least, and training.batch_size = "
                f"{self.training.batch_size} holds fewer than 3 images with "
                f"augmentation.repeats = {repeats}; allowed: a batch_size of at least "
                f"{3 * repeats}, scope dataset, or weight 0"
            )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Config:
        """Validate all of Kedro's parameters at once.

        Args:
            parameters: the merged parameters, baseline already applied.

        Raises:
            InputError: unknown key, wrong type or impossible value; every fault is
                named by its full key, with the value and what is allowed.
        """
        return validated(cls, parameters, "")

    def finetunes(self, task: int) -> bool:
        """Whether balanced finetuning follows the training of ``task``."""
        has_memory = self.memory.keep != "nothing"
        return has_memory and task > 0 and self.finetuning.epochs > 0


SETTINGS = tuple(
    field.name
    for field in fields(Config)
    if field.name not in ("cache", "comparison", "export", "inference", "mlflow")
)
"""The sections that shape a result; the others say what is done with results."""
