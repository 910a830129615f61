"""Settings of the network and of how a task is learnt."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from daformer_kedro.errors import InputError
from daformer_kedro.validation import (
    STRICT,
    Device,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

AttentionPart = Literal["external", "internal"]


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """The network. Image size, channels and task sizes come from the data.

    Attributes:
        edition: ``S`` shares the external-key map over tasks, ``M`` has one per task.
        attention: parts of dual attention in use; leave one out for an ablation.
        encoder: which of :data:`~daformer_kedro.model.encoders.ENCODERS`.
        encoder_settings: of encoders that have more than the sizes below.
        decoder: which of :data:`~daformer_kedro.model.decoders.DECODERS`:
            ``dual_attention`` (DAFormer) or ``task_attention`` (DyTox).
        patch_size: side of a square patch, in pixels.
        embed_dim: width D of a token.
        depth: encoder blocks plus the one decoder block.
        num_heads: attention heads H; they divide ``embed_dim``.
        mlp_ratio: hidden width of an MLP over D.
        stochastic_depth: drop rate of the last block; it rises linearly from 0.
        locality_strength: scale of the initial position scores (ConViT).
    """

    edition: Literal["S", "M"] = "S"
    attention: tuple[AttentionPart, ...] = ("external", "internal")
    encoder: str = "gated_attention"
    encoder_settings: dict[str, Any] = Field(default_factory=dict)
    decoder: str = "dual_attention"
    patch_size: PositiveInt = 4
    embed_dim: PositiveInt = 384
    depth: Annotated[int, Field(ge=2)] = 6
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 4.0
    stochastic_depth: Annotated[float, Field(ge=0, lt=1)] = 0.1
    locality_strength: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if not self.attention or len(set(self.attention)) < len(self.attention):
            raise ValueError(
                f"attention = {list(self.attention)} must name external, internal "
                "or both, each once"
            )
        return self


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
class TrainingConfig:
    """One task's training.

    Attributes:
        schedule: which of :data:`SCHEDULES` the parameters were made for.
        epochs: epochs per task.
        initial_epochs: epochs of the first task, ``None`` for ``epochs``.
        patience: epochs without a higher validation accuracy after which a training
            ends, with the weights of the best epoch; ``None`` trains all epochs.
        max_minutes: time of a task's training, and of its finetuning; ``None`` for no
            limit.
        batch_size: images per step.
        learning_rate: peak rate for a batch of 512; it is scaled linearly.
        min_learning_rate: end of the cosine, not scaled.
        warmup_epochs: epochs of linear warm-up.
        warmup_learning_rate: start of the warm-up, not scaled.
        weight_decay: AdamW's, not on one-dimensional parameters.
        clip_norm: largest gradient norm, ``None`` for no clipping.
        sharpness: see :class:`SharpnessConfig`.
        class_balance: share of a class of n images in an epoch, in proportion to n
            (``none``), to its square root (``sqrt``) or the same for all (``full``).
        freeze_old_tasks: keep older tasks' keys and heads as they are.
        device: ``auto`` takes a GPU where there is one.
        precision: ``auto`` takes bfloat16 on GPUs that compute it natively, and on such
            CPUs for networks of width 256 and more; ``tf32`` is float32 with factors of
            products rounded to TF32, on GPUs alone.
        compile: ``auto`` compiles the encoder's blocks on GPUs (``torch.compile``), for
            phases of 2,000 steps and more.
        graph: ``auto`` takes each step as one CUDA graph, on a GPU and in one process.
        save_minutes: between two savings of the whole state of an unfinished training,
            from which it can resume; at the end of the epoch in which they have
            passed. No result depends on it.
        save_every: epochs between two savings instead, ``None`` to go by the minutes.
        devices: ranks on each machine, one per device; they share every batch.
        engine: who starts the ranks: ``torch`` (PyTorch's elastic launcher) or ``ray``.
        nnodes: machines that take part.
        rendezvous: ``HOST:PORT`` of this machine where the others find it; with
            ``nnodes`` above 1 and the engine ``torch`` alone.
    """

    schedule: Literal["published", "short"] = "published"
    epochs: PositiveInt = 500
    initial_epochs: PositiveInt | None = None
    patience: PositiveInt | None = None
    max_minutes: PositiveFloat | None = None
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 5e-4
    min_learning_rate: NonNegativeFloat = 1e-5
    warmup_epochs: NonNegativeInt = 5
    warmup_learning_rate: NonNegativeFloat = 1e-6
    weight_decay: NonNegativeFloat = 1e-6
    clip_norm: PositiveFloat | None = None
    sharpness: SharpnessConfig = Field(default_factory=SharpnessConfig)
    class_balance: Literal["none", "sqrt", "full"] = "none"
    freeze_old_tasks: bool = True
    device: Device = "auto"
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    compile: Literal["auto", "off"] = "auto"
    graph: Literal["auto", "off"] = "auto"
    save_minutes: NonNegativeFloat = 5.0
    save_every: PositiveInt | None = None
    devices: PositiveInt = 1
    engine: Literal["torch", "ray"] = "torch"
    nnodes: PositiveInt = 1
    rendezvous: Annotated[str, Field(pattern=r"^[^\s:]+:\d+$")] | None = None

    @property
    def may_end_early(self) -> bool:
        """Return whether a phase may end before its last epoch."""
        return self.patience is not None or self.max_minutes is not None

    @property
    def num_ranks(self) -> int:
        """Processes that train together, on all machines."""
        return self.devices * self.nnodes

    @property
    def starts_ranks(self) -> bool:
        """Return whether training leaves this process."""
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


@dataclass(frozen=True, config=STRICT)
class MemoryConfig:
    """Rehearsal memory of earlier tasks.

    Attributes:
        keep: ``exemplars`` (the rehearsal memory), ``nothing`` or ``everything``.
        total: exemplars in all, shared by the classes seen so far.
        per_class: exemplars per class; give this or ``total``.
        allocation: of ``total``: ``equal`` for all classes, or ``proportional`` to
            their training images, at least one each.
        selection: how exemplars are chosen.
    """

    keep: Literal["exemplars", "nothing", "everything"] = "exemplars"
    total: PositiveInt | None = None
    per_class: PositiveInt | None = None
    allocation: Literal["equal", "proportional"] = "equal"
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
        if self.allocation == "proportional" and self.per_class is not None:
            raise ValueError(
                f"allocation = proportional shares a total, and per_class = "
                f"{self.per_class} gives every class as many; give total"
            )
        return self

    def exemplars_per_class(self, num_classes: int) -> int:
        """Return the equal quota of each class once ``num_classes`` share the memory.

        Raises:
            InputError: ``total`` is too small to give every class one exemplar.
        """
        if self.per_class is not None:
            return self.per_class
        total = self.total or 0
        if total < num_classes:
            raise InputError(
                f"memory.total = {total} is smaller than the {num_classes} classes; "
                "every class needs at least one exemplar"
            )
        return total // num_classes


@dataclass(frozen=True, config=STRICT)
class FinetuningConfig:
    """Balanced finetuning on the memory after each task but the first; 0 epochs is off.

    Attributes:
        learning_rate: constant rate for a batch of 512; it is scaled linearly.
    """

    epochs: NonNegativeInt = 20
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 5e-5


@dataclass(frozen=True, config=STRICT)
class EvaluationConfig:
    """Scoring of test images."""

    batch_size: PositiveInt = 512
