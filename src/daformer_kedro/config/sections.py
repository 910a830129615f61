"""Settings as frozen dataclasses, made from Kedro's parameters and validated once.

Each top-level key of ``conf/*/parameters*.yml`` is one class here. Node functions
build only the sections they read, so that a stored result depends on those alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from daformer_kedro.config.validation import validated

_STRICT = ConfigDict(extra="forbid")

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
AttentionPart = Literal["external", "internal"]


@dataclass(frozen=True, config=_STRICT)
class SourceConfig:
    """Where images come from.

    Attributes:
        name: kind of source; ``digits`` is embedded, the others need ``path``.
        path: folder of the data set; relative paths start at the working
            directory.
        test_fraction: share of each class held out, for sources without a test set.
        split_seed: seed of that split; it is apart from the training seed, so that
            runs with several seeds are tested on the same images.
        classes: the subset to keep, as class names or labels; ``None`` keeps all.
        download: fetch the data set through torchvision when it is not at ``path``.
        dataset: of source ``continuum``, the name of a class in its ``datasets``.
        on_error: files that cannot be read end the run (``fail``), or are left out
            and listed (``skip``), which decodes every file once.
    """

    name: Literal[
        "digits",
        "cifar10",
        "cifar100",
        "fashion_mnist",
        "continuum",
        "image_folder",
        "imagenet100",
        "imagenet1000",
    ] = "digits"
    path: str | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: NonNegativeInt = 0
    classes: tuple[str | int, ...] | None = None
    download: bool = False
    dataset: str | None = None
    on_error: Literal["fail", "skip"] = "fail"


@dataclass(frozen=True, config=_STRICT)
class ScenarioConfig:
    """Which classes arrive when.

    Attributes:
        class_order: ``identity`` (label order), ``shuffle`` (drawn from the run's
            seed), the number of a published order of the source, or an explicit
            permutation of the labels.
        initial_increment: classes of the first task; ``None`` means ``increment``.
        increment: classes of every later task, or one number a later task.
        tasks: of source ``image_folder``, the folders that arrived one after another;
            each is a task, and classes go by arrival, whatever the settings above.
    """

    class_order: Literal["identity", "shuffle"] | int | tuple[int, ...] = "identity"
    initial_increment: PositiveInt | None = None
    increment: PositiveInt | tuple[PositiveInt, ...] = 2
    tasks: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> ScenarioConfig:
        if self.tasks is not None and self.class_order != "identity":
            raise ValueError(
                f"class_order = {self.class_order!r} must be identity with tasks = "
                f"{list(self.tasks)}, whose classes go by arrival"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The network. Image size, channels and task sizes come from the data.

    Attributes:
        edition: ``S`` shares the external-key map over tasks, ``M`` has one a task.
        attention: parts of dual attention in use; leave one out for an ablation.
        decoder: ``dual_attention`` (DAFormer) or ``task_attention`` (DyTox).
        patch_size: side of a square patch, in pixels.
        embed_dim: width D of a token; a multiple of ``num_heads``.
        depth: encoder blocks plus the one decoder block.
        num_heads: attention heads H.
        mlp_ratio: hidden width of an MLP over D.
        stochastic_depth: drop rate of the last block; it rises linearly from 0.
        locality_strength: scale of the initial position scores (ConViT).
    """

    edition: Literal["S", "M"] = "S"
    attention: tuple[AttentionPart, ...] = ("external", "internal")
    decoder: Literal["dual_attention", "task_attention"] = "dual_attention"
    patch_size: PositiveInt = 4
    embed_dim: PositiveInt = 384
    depth: Annotated[int, Field(ge=2)] = 6
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 4.0
    stochastic_depth: Annotated[float, Field(ge=0, lt=1)] = 0.1
    locality_strength: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim = {self.embed_dim} must be a multiple of "
                f"num_heads = {self.num_heads}"
            )
        if not self.attention or len(set(self.attention)) < len(self.attention):
            raise ValueError(
                f"attention = {list(self.attention)} must name external, internal "
                "or both, each once"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class PreprocessingConfig:
    """From an image to what the network reads.

    Attributes:
        mean: of ``(x / 255 - mean) / std``, one number a channel.
        std: likewise.
        image_size: side of the square that is cut from images that are files; images
            in arrays have a size of their own.
        resize: short side of such an image before the centre crop of the test
            transform; ``None`` for ``image_size``.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[PositiveFloat, ...] = (0.5,)
    image_size: PositiveInt | None = None
    resize: PositiveInt | None = None

    @model_validator(mode="after")
    def _check(self) -> PreprocessingConfig:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} channels and std has {len(self.std)}"
            )
        if self.resize is not None and self.resize < (self.image_size or 0):
            raise ValueError(
                f"resize = {self.resize} must be at least image_size = "
                f"{self.image_size}, which is cut from it"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class RandomAffineConfig:
    """A random affine map, drawn for each image.

    Attributes:
        degrees: largest rotation either way.
        translate: largest shift either way, as a share of the image side.
        scale: smallest and largest zoom factor.
        shear: largest horizontal shear either way, in degrees.
    """

    degrees: NonNegativeFloat = 0.0
    translate: Fraction = 0.0
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    shear: NonNegativeFloat = 0.0


@dataclass(frozen=True, config=_STRICT)
class AugmentationConfig:
    """What training does to images; each choice is drawn for each image.

    Attributes:
        crop_padding: pad every side by this many zero pixels, then crop at random.
        random_resized_crop: area range of a random resized crop, ``None`` for none.
        horizontal_flip: probability of a flip.
        random_affine: see :class:`RandomAffineConfig`, ``None`` for none.
        rand_augment: timm's policy string, such as ``rand-m9-mstd0.5-inc1``.
        random_erasing: probability of erasing a rectangle.
        mixup_alpha: Beta parameter of mixup, 0 for none.
        cutmix_alpha: Beta parameter of CutMix, 0 for none; with both above 0 each
            batch takes one of the two with equal chance.
        repeats: versions of one image in an epoch (repeated augmentation), 1 for none.
    """

    crop_padding: NonNegativeInt = 0
    random_resized_crop: tuple[Fraction, Fraction] | None = None
    horizontal_flip: Fraction = 0.0
    random_affine: RandomAffineConfig | None = None
    rand_augment: str | None = None
    random_erasing: Fraction = 0.0
    mixup_alpha: NonNegativeFloat = 0.8
    cutmix_alpha: NonNegativeFloat = 0.0
    repeats: PositiveInt = 1


@dataclass(frozen=True, config=_STRICT)
class SharpnessConfig:
    """Sharpness-aware minimisation; ``rho`` 0 turns it off.

    Attributes:
        rho: radius of the ascent.
        adaptive: scale the ascent by the squared weights (ASAM).
        first_task: use it in the first task too; the published recipe does not.
    """

    rho: NonNegativeFloat = 0.0
    adaptive: bool = True
    first_task: bool = False


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """One task's training.

    Attributes:
        schedule: which of :data:`SCHEDULES` the parameters were made for.
        epochs: epochs a task.
        initial_epochs: epochs of the first task, ``None`` for ``epochs``.
        batch_size: images a step.
        learning_rate: peak rate for a batch of 512; it is scaled linearly.
        min_learning_rate: end of the cosine, not scaled.
        warmup_epochs: epochs of linear warm-up.
        warmup_learning_rate: start of the warm-up, not scaled.
        weight_decay: AdamW's, not on one-dimensional parameters.
        clip_norm: largest gradient norm, ``None`` for no clipping.
        sharpness: see :class:`SharpnessConfig`.
        freeze_old_tasks: keep older tasks' keys and heads as they are.
        device: ``auto`` takes a GPU where there is one.
        precision: ``auto`` takes bfloat16 on GPUs that compute it natively.
        compile: ``auto`` compiles the encoder's blocks on GPUs (``torch.compile``).
        save_every: epochs between two savings of the whole state of an unfinished
            training, from which it can go on; no result depends on it.
        devices: ranks on each machine, one a device; they share every batch.
        engine: who starts the ranks: ``torch`` (PyTorch's elastic launcher) or ``ray``.
        nnodes: machines that take part.
        rendezvous: ``HOST:PORT`` of this machine where the others find it; with
            ``nnodes`` above 1 and the engine ``torch`` alone.
    """

    schedule: Literal["published", "short"] = "published"
    epochs: PositiveInt = 500
    initial_epochs: PositiveInt | None = None
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 5e-4
    min_learning_rate: NonNegativeFloat = 1e-5
    warmup_epochs: NonNegativeInt = 5
    warmup_learning_rate: NonNegativeFloat = 1e-6
    weight_decay: NonNegativeFloat = 1e-6
    clip_norm: PositiveFloat | None = None
    sharpness: SharpnessConfig = Field(default_factory=SharpnessConfig)
    freeze_old_tasks: bool = True
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "off"] = "auto"
    save_every: PositiveInt = 10
    devices: PositiveInt = 1
    engine: Literal["torch", "ray"] = "torch"
    nnodes: PositiveInt = 1
    rendezvous: Annotated[str, Field(pattern=r"^[^\s:]+:\d+$")] | None = None

    @property
    def num_ranks(self) -> int:
        """Processes that train together, on all machines."""
        return self.devices * self.nnodes

    @property
    def starts_ranks(self) -> bool:
        """Whether training leaves this process."""
        return self.num_ranks > 1 or self.engine == "ray"

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        check_batch_size("batch_size", self.batch_size, self)
        needs_rendezvous = self.nnodes > 1 and self.engine == "torch"
        if needs_rendezvous != (self.rendezvous is not None):
            raise ValueError(
                f"rendezvous = {self.rendezvous!r}: HOST:PORT is needed with nnodes "
                f"above 1 and engine torch, and has no use otherwise (nnodes = "
                f"{self.nnodes}, engine = {self.engine})"
            )
        return self


def check_batch_size(key: str, batch_size: int, training: TrainingConfig) -> None:
    """Make sure that a batch can be shared evenly.

    Raises:
        ValueError: it cannot; names both settings.
    """
    if batch_size % training.num_ranks:
        ranks = f"training.devices = {training.devices}"
        if training.nnodes > 1:
            ranks += f" times training.nnodes = {training.nnodes}"
        raise ValueError(f"{key} = {batch_size} must be a multiple of {ranks}")


@dataclass(frozen=True, config=_STRICT)
class ClassificationConfig:
    """Classification loss on soft targets, with label smoothing."""

    kind: Literal["binary", "softmax"] = "binary"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1


@dataclass(frozen=True, config=_STRICT)
class LogitDistillationConfig:
    """Distillation of the teacher's logits, weighted by the share of old classes."""

    enabled: bool = True
    temperature: PositiveFloat = 1.0


@dataclass(frozen=True, config=_STRICT)
class DivergenceConfig:
    """Auxiliary head that tells the new classes from "some old class"."""

    weight: NonNegativeFloat = 0.1


@dataclass(frozen=True, config=_STRICT)
class PooledDistillationConfig:
    """Pooled outputs distillation (POD) of the encoder blocks; weight 0 is off."""

    weight: NonNegativeFloat = 0.0


@dataclass(frozen=True, config=_STRICT)
class KNNDistillationConfig:
    """K-nearest-neighbour-invariant distillation; weight 0 is off.

    Attributes:
        scope: take neighbours from the batch or from the whole task data.
    """

    weight: NonNegativeFloat = 1.0
    num_neighbours: PositiveInt = 10
    temperature: PositiveFloat = 0.1
    scope: Literal["batch", "dataset"] = "dataset"


@dataclass(frozen=True, config=_STRICT)
class LossesConfig:
    """All terms of the training loss."""

    classification: ClassificationConfig = Field(default_factory=ClassificationConfig)
    logit_distillation: LogitDistillationConfig = Field(
        default_factory=LogitDistillationConfig
    )
    divergence: DivergenceConfig = Field(default_factory=DivergenceConfig)
    pooled_distillation: PooledDistillationConfig = Field(
        default_factory=PooledDistillationConfig
    )
    knn_distillation: KNNDistillationConfig = Field(
        default_factory=KNNDistillationConfig
    )


@dataclass(frozen=True, config=_STRICT)
class MemoryConfig:
    """What is kept of earlier tasks.

    Attributes:
        keep: ``exemplars`` (the rehearsal memory), ``nothing`` or ``everything``.
        total: exemplars in all, shared evenly by the classes seen so far.
        per_class: exemplars a class; give this or ``total``.
        selection: how exemplars are chosen.
    """

    keep: Literal["exemplars", "nothing", "everything"] = "exemplars"
    total: PositiveInt | None = None
    per_class: PositiveInt | None = None
    selection: Literal["herding", "random", "closest"] = "herding"

    @model_validator(mode="after")
    def _check(self) -> MemoryConfig:
        if self.keep == "exemplars" and (self.total is None) == (
            self.per_class is None
        ):
            raise ValueError(
                f"total = {self.total} and per_class = {self.per_class}: "
                "give exactly one of the two"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class FinetuningConfig:
    """Balanced finetuning on the memory after each task but the first; 0 epochs is off.

    Attributes:
        learning_rate: constant rate for a batch of 512; it is scaled linearly.
    """

    epochs: NonNegativeInt = 20
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 5e-5


@dataclass(frozen=True, config=_STRICT)
class EvaluationConfig:
    """How test images are scored."""

    batch_size: PositiveInt = 512


@dataclass(frozen=True, config=_STRICT)
class ComparisonConfig:
    """Which finished runs the comparison reads; no training reads this.

    Attributes:
        filter: MLflow search filter, such as ``tags.protocol = 'digits'``; empty for
            all runs of the experiment.
        run_keys: of the runs that the filter finds, only those with these keys;
            ``None`` for all. ``make benchmark`` sets it to its grid.
        experiment: the MLflow experiment.
    """

    filter: str = ""
    run_keys: tuple[str, ...] | None = None
    experiment: Annotated[str, Field(min_length=1)] = "daformer"


@dataclass(frozen=True, config=_STRICT)
class MlflowConfig:
    """What becomes of the final model in MLflow; no training reads this.

    Attributes:
        register_model_as: name in MLflow's model registry, ``None`` to log the model
            and not register it.
    """

    register_model_as: Annotated[str, Field(min_length=1)] | None = None


Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Reference = Annotated[str, Field(min_length=1)] | None


@dataclass(frozen=True, config=_STRICT)
class InferenceConfig:
    """What the inference pipeline looks at; no training reads this.

    Attributes:
        images: a file, a folder or a CSV of paths.
        model: a run key, the id of a run in MLflow, ``models:/NAME/VERSION``, or
            ``None`` for the newest finished run.
        output: folder of the table.
        batch_size: images a forward pass.
        device: ``auto`` takes a GPU where there is one.
    """

    images: Annotated[str, Field(min_length=1)] | None = None
    model: Reference = None
    output: Annotated[str, Field(min_length=1)] = "data/07_model_output/inference"
    batch_size: PositiveInt = 64
    device: Device = "auto"


@dataclass(frozen=True, config=_STRICT)
class ExportConfig:
    """Which model the export pipeline writes; no training reads this.

    Attributes:
        model: as in :class:`InferenceConfig`.
    """

    model: Reference = None


@dataclass(frozen=True, config=_STRICT)
class CacheConfig:
    """When stored results are reused; no result depends on it.

    Attributes:
        strict: with ``--only-missing-outputs``, also compute again what was made on
            another kind of device or with another version of torch.
        resume: go on with an interrupted ``kedro run`` when the same one is asked for
            again; false begins anew.
    """

    strict: bool = False
    resume: bool = True


@dataclass(frozen=True, config=_STRICT)
class Config:
    """Every section of the parameters.

    Attributes:
        protocol: name of the benchmark, as runs are grouped by; free text.
        seed: seed of weights, class shuffles, augmentation and batch order.
        baseline: which of :data:`BASELINES` the parameters were made for.
    """

    protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]+$")] = "digits"
    seed: NonNegativeInt = 0
    baseline: Literal["none", "finetune", "replay", "joint", "dytox"] = "none"
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
