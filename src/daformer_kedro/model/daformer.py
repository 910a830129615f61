"""DAFormer: a transformer whose decoder embeds an image once for each task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.classifier import TaskHead, TaskHeads
from daformer_kedro.model.decoders import decoder_class
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.model.output import DAFormerOutput
from daformer_kedro.model.stochastic_depth import KeepFactors, draw_keep, keep_rates
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks
from daformer_kedro.validation import validated


def check_model(config: ModelConfig, image_size: int, *, new: bool = True) -> None:
    """Find out whether a model can be made, before any image is read.

    Args:
        config: the ``model`` section of the parameters.
        image_size: side of the square images, in pixels.
        new: whether pretrained weights must be there, as for a model that is to be
            trained; not for one that is built from a checkpoint.

    Raises:
        InputError: it cannot; names the setting, its value and what is allowed.
    """
    decoder_class(config.decoder)
    encoder = encoder_class(config.encoder)
    validated(encoder.Settings, config.encoder_settings, "model.encoder_settings")
    encoder.check(config, image_size)
    if new:
        encoder.check_weights(config)
    if round(config.embed_dim * config.mlp_ratio) < 1:
        raise InputError(
            f"model.mlp_ratio = {config.mlp_ratio} must be at least 1 / "
            f"model.embed_dim = 1 / {config.embed_dim}"
        )


class DAFormer(nn.Module):
    """Encoder, task-conditioned decoder, one head for each task.

    Args:
        config: the ``model`` section of the parameters.
        image_size: side of the square images, in pixels.
        in_channels: channels of the images.
        task_sizes: classes of each task so far.
        generator: source of the starting weights; without one they are drawn from
            seed 0. The global random state is never used.
        divergence: whether to make a divergence head for the last task.

    Raises:
        InputError: settings and data do not fit together.
    """

    keep_rates: torch.Tensor
    closed_form: nn.Module | None
    """What classifies instead of the heads in evaluation mode, where a method has set
    it, see :mod:`~daformer_kedro.methods.classifiers`. A new task takes it away."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        image_size: int,
        in_channels: int,
        task_sizes: Sequence[int],
        generator: torch.Generator | None = None,
        divergence: bool = False,
    ) -> None:
        super().__init__()
        check_model(config, image_size, new=False)
        _check_sizes(in_channels, task_sizes)
        generator = generator or torch.Generator().manual_seed(0)
        self.config = config
        self.image_size = image_size
        self.in_channels = in_channels
        self.encoder = encoder_class(config.encoder)(
            config,
            image_size=image_size,
            in_channels=in_channels,
            generator=generator,
        )
        self.decoder = decoder_class(config.decoder)(
            config, self.encoder.num_tokens, generator=generator
        )
        for _ in task_sizes[1:]:
            self.decoder.add_task(generator)
        self.heads = TaskHeads(config.embed_dim, task_sizes, generator=generator)
        self.divergence_head: TaskHead | None = None
        if divergence:
            self._renew_divergence_head(generator)
        rates = keep_rates(config.stochastic_depth, self.encoder.num_blocks)
        self.register_buffer("keep_rates", rates, persistent=False)
        self.closed_form = None

    @property
    def task_sizes(self) -> tuple[int, ...]:
        """Number of classes of each task."""
        return self.heads.task_sizes

    @property
    def num_tasks(self) -> int:
        """Number of tasks so far."""
        return len(self.heads)

    @property
    def num_classes(self) -> int:
        """Number of classes over all tasks."""
        return sum(self.task_sizes)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.keep_rates.device

    @property
    def num_parameters(self) -> int:
        """Numbers that classify an image: without the auxiliary divergence head."""
        unused = ("divergence_head.", "heads." if self.closed_form else "-")
        weights: list[tuple[str, torch.Tensor]] = [*self.named_parameters()]
        if self.closed_form is not None:
            weights += self.closed_form.named_buffers()
        return sum(w.numel() for name, w in weights if not name.startswith(unused))

    def add_task(
        self,
        num_classes: int,
        *,
        generator: torch.Generator | None = None,
        divergence: bool = True,
    ) -> None:
        """Grow for one more task; the logits of earlier tasks stay, to the bit.

        Args:
            num_classes: classes of the new task.
            generator: source of the new weights; without one they are drawn from a
                seed equal to the number of tasks before.
            divergence: whether to make a new divergence head; an old one goes anyway.

        Raises:
            InputError: ``num_classes`` is not at least 1.
        """
        _check_task_size(num_classes)
        self.closed_form = None
        generator = generator or torch.Generator().manual_seed(self.num_tasks)
        self.decoder.add_task(generator)
        self.heads.add_task(num_classes, generator)
        self.remove_divergence_head()
        if divergence:
            self._renew_divergence_head(generator)

    def remove_divergence_head(self) -> None:
        """Drop the auxiliary head, which only training needs."""
        self.divergence_head = None

    def freeze_for_training(self, freeze_old_tasks: bool = True) -> None:
        """Make everything trainable but what belongs to earlier tasks.

        Args:
            freeze_old_tasks: whether earlier tasks' keys (or tokens) and heads are
                frozen.
        """
        self.requires_grad_(True)
        self.encoder.freeze_pretrained()
        if freeze_old_tasks:
            for parameter in self.decoder.old_task_parameters():
                parameter.requires_grad_(False)
            for head in self.heads.tasks()[:-1]:
                head.requires_grad_(False)

    def freeze_for_finetuning(self) -> None:
        """Make the decoder and the heads trainable, of all tasks, and nothing else."""
        self.requires_grad_(False)
        self.decoder.requires_grad_(True)
        self.heads.requires_grad_(True)

    def forward(
        self,
        images: torch.Tensor,
        *,
        generator: torch.Generator | None = None,
        return_blocks: bool = False,
        part: tuple[int, int] = (0, 1),
        chunks: TaskChunks = ALL_AT_ONCE,
    ) -> DAFormerOutput:
        """Embed and classify images.

        Args:
            images: (B, in_channels, image_size, image_size), normalised; or what the
                encoder embedded before, (B, N, W).
            generator: source of stochastic depth; needed in training mode alone.
            return_blocks: whether to return the encoder blocks' outputs.
            part: see :func:`~daformer_kedro.model.stochastic_depth.draw_keep`.
            chunks: how the decoder goes through the tasks.

        Raises:
            ValueError: the images have another shape, or the generator is missing.
        """
        expected = (self.in_channels, self.image_size, self.image_size)
        if images.ndim == 4 and images.shape[1:] != expected:
            raise ValueError(
                f"images of shape {tuple(images.shape)}: (B, {expected[0]}, "
                f"{expected[1]}, {expected[2]}) is expected"
            )
        keep = self.draw_keep(images.shape[0], generator, part)
        blocks = self.encoder(images, keep.blocks)  # (B, N, D) each
        embeddings = self.decoder(blocks[-1], keep.decoder, chunks)
        divergence = self.divergence_head
        return DAFormerOutput(
            logits=self._classify(embeddings),
            embeddings=embeddings,
            divergence_logits=None
            if divergence is None
            else divergence(embeddings[-1]),
            blocks=blocks if return_blocks else None,
        )

    def draw_keep(
        self,
        batch: int,
        generator: torch.Generator | None,
        part: tuple[int, int] = (0, 1),
    ) -> KeepFactors:
        """Draw the residuals' factors of a pass; all are kept in evaluation mode.

        See :func:`~daformer_kedro.model.stochastic_depth.draw_keep`.
        """
        if not self.training or self.config.stochastic_depth == 0:
            return KeepFactors([None] * self.encoder.num_blocks, None)
        if generator is None:
            raise ValueError(
                "forward needs a generator in training mode, for model.stochastic_depth"
                f" = {self.config.stochastic_depth}"
            )
        return draw_keep(self.keep_rates, self.num_tasks, batch, generator, part)

    def _classify(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits (B, C) of the heads, or of what answers instead of them."""
        if self.closed_form is None or self.training:
            return self.heads(embeddings)
        return self.closed_form(embeddings)

    def _renew_divergence_head(self, generator: torch.Generator) -> None:
        width, size = self.config.embed_dim, self.task_sizes[-1]
        head = TaskHead(width, size + 1, generator=generator)
        self.divergence_head = head.to(self.heads.tasks()[-1].linear.weight)


def _check_sizes(in_channels: int, task_sizes: Sequence[int]) -> None:
    if in_channels < 1:
        raise InputError(f"in_channels = {in_channels} must be at least 1")
    if not task_sizes:
        raise InputError("task_sizes = [] must hold at least one task")
    for size in task_sizes:
        _check_task_size(size)


def _check_task_size(num_classes: int) -> None:
    if num_classes < 1:
        raise InputError(
            f"num_classes = {num_classes}: a task must have at least 1 class"
        )
