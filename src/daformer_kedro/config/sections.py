"""Settings as frozen dataclasses, made from Kedro's parameters and validated once.

Each top-level key of ``conf/*/parameters*.yml`` is one class here. Node functions name
it as the type of an argument, and Kedro hands them the section as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
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
    MemoryConfig,
    ModelConfig,
    TrainingConfig,
    check_batch_size,
)
from daformer_kedro.config.monitor_section import MonitorConfig
from daformer_kedro.config.output_sections import (
    CacheConfig,
    ComparisonConfig,
    ExportConfig,
    InferenceConfig,
    MlflowConfig,
)
from daformer_kedro.config.study_section import StudyConfig
from daformer_kedro.methods import METHODS, Method
from daformer_kedro.objectives import LossesConfig, terms_of
from daformer_kedro.validation import STRICT, NonNegativeInt, validated

_MethodName: Any = Literal[tuple(METHODS)]


@dataclass(frozen=True, config=STRICT)
class Config:
    """Every section of the parameters.

    Attributes:
        protocol: name of the benchmark, as runs are grouped by; free text.
        seed: seed of weights, class shuffles, augmentation and batch order.
        baseline: which of
            :data:`~daformer_kedro.methods.METHODS` the parameters were made for.
        baseline_settings: of methods that have settings of their own.
    """

    protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]+$")] = "digits"
    seed: NonNegativeInt = 0
    baseline: _MethodName = "none"
    baseline_settings: dict[str, Any] = Field(default_factory=dict)
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
    study: StudyConfig = Field(default_factory=StudyConfig)
    monitor: MonitorConfig = Field(default_factory=MonitorConfig)

    @model_validator(mode="after")
    def _check(self) -> Config:
        if self.finetuning.epochs and self.memory.keep != "nothing":
            check_batch_size(
                "finetuning.batch_size", self.finetuning.batch_size, self.training
            )
        if self.method.brings("finish") and self.memory.keep == "nothing":
            raise ValueError(
                f"baseline = {self.baseline} needs exemplars, and memory.keep = "
                "nothing keeps none; allowed: memory.keep exemplars or everything"
            )
        check_own_steps(self.baseline, self.training, self.memory)
        for term in terms_of(self.losses).values():
            term.check(self)
        return self

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

    @cached_property
    def method(self) -> Method:
        """The method that the parameters were made for."""
        return METHODS[self.baseline](self.baseline_settings)

    @property
    def trains(self) -> bool:
        """Return whether tasks are learnt by training, and not in closed form."""
        return METHODS[self.baseline].trains

    def finetunes(self, task: int) -> bool:
        """Return whether balanced finetuning follows the training of ``task``."""
        has_memory = self.memory.keep != "nothing"
        return has_memory and task > 0 and self.finetuning.epochs > 0


def check_own_steps(
    baseline: str, training: TrainingConfig, memory: MemoryConfig
) -> None:
    """Make sure that nothing is asked for that a method's own steps would ignore."""
    method = METHODS[baseline]
    learns_here = method.brings("learn") and not method.supports_ranks
    if training.starts_ranks and learns_here:
        raise ValueError(
            f"baseline = {baseline} learns in its own way, in one process on one "
            f"device, and training.devices = {training.devices}, training.nnodes = "
            f"{training.nnodes}, training.engine = {training.engine} start ranks; "
            "allowed: 1, 1 and torch"
        )
    ends = {"patience": training.patience, "max_minutes": training.max_minutes}
    for name, value in ends.items():
        if learns_here and value is not None:
            raise ValueError(
                f"baseline = {baseline} learns in its own way, which "
                f"training.{name} = {value} does not end; allowed: null"
            )
    if method.brings("choose") and memory.allocation != "equal":
        raise ValueError(
            f"baseline = {baseline} chooses its memory in its own way, and "
            f"memory.allocation = {memory.allocation} does not share it out; allowed: "
            "equal"
        )


SETTINGS = tuple(
    field.name
    for field in fields(Config)
    if field.name
    not in ("cache", "comparison", "export", "inference", "mlflow", "monitor", "study")
)
"""The sections that shape a result; the others say what is done with results."""
