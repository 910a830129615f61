"""DAFormer: a transformer whose decoder embeds an image once for each task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model.blocks import DualAttentionDecoder, EncoderBlock
from daformer_kedro.model.classifier import TaskHead, TaskHeads
from daformer_kedro.model.dual_attention import DualAttention
from daformer_kedro.model.gated_attention import relative_offsets
from daformer_kedro.model.initialisation import patch_convolution, truncated_normal
from daformer_kedro.model.output import DAFormerOutput
from daformer_kedro.model.task_attention import TaskAttentionDecoder
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks

_MEANS_TEMPERATURE = 0.1
"""Brings cosines, which differ by tenths, to the size of logits: the softmax of a
classifier by class means is calibrated from there."""


class DAFormer(nn.Module):
    """Patch embedding, encoder, task-conditioned decoder, one head for each task.

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
    offsets: torch.Tensor
    class_means: torch.Tensor | None
    """(C, T·D) of length 1, where a method has set them: in evaluation mode images are
    classified by the nearest mean instead of the heads. A new task takes them away."""

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
        _check_sizes(config, image_size, in_channels, task_sizes)
        generator = generator or torch.Generator().manual_seed(0)
        self.config = config
        self.image_size = image_size
        self.in_channels = in_channels
        width = config.embed_dim
        grid_size = image_size // config.patch_size
        self.patch_embed = patch_convolution(
            in_channels, width, config.patch_size, generator=generator
        )
        self.pos_embed = nn.Parameter(
            truncated_normal(1, grid_size**2, width, generator=generator)
        )
        self.encoder = nn.ModuleList(
            EncoderBlock(
                width,
                config.num_heads,
                config.mlp_ratio,
                locality_strength=config.locality_strength,
                generator=generator,
            )
            for _ in range(config.depth - 1)
        )
        self.decoder = _make_decoder(config, grid_size**2, generator)
        for _ in task_sizes[1:]:
            self.decoder.add_task(generator)
        self.heads = TaskHeads(width, task_sizes, generator=generator)
        self.divergence_head: TaskHead | None = None
        if divergence:
            self._renew_divergence_head(generator)
        rates = torch.linspace(0, config.stochastic_depth, config.depth)
        self.register_buffer("keep_rates", 1 - rates, persistent=False)
        offsets = relative_offsets(grid_size)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("class_means", None)

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
    def num_parameters(self) -> int:
        """Parameters that classify an image: without the auxiliary divergence head."""
        return sum(
            weight.numel()
            for name, weight in self.named_parameters()
            if not name.startswith("divergence_head.")
        )

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
        self.class_means = None
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
            images: (B, in_channels, image_size, image_size), normalised.
            generator: source of stochastic depth; needed in training mode alone.
            return_blocks: whether to return the encoder blocks' outputs.
            part: number of this part of a batch, and how many equal parts it has.
                Stochastic depth is drawn for the whole batch, the same in all parts.
            chunks: how the decoder goes through the tasks.

        Raises:
            ValueError: the images have another shape, or the generator is missing.
        """
        expected = (self.in_channels, self.image_size, self.image_size)
        if images.shape[1:] != expected:
            raise ValueError(
                f"images of shape {tuple(images.shape)}: (B, {expected[0]}, "
                f"{expected[1]}, {expected[2]}) is expected"
            )
        block_keep, decoder_keep = self._draw_keep(images.shape[0], generator, part)
        x = self.patch_embed(images).flatten(2).transpose(1, 2) + self.pos_embed
        blocks = []
        for block, keep in zip(self.encoder, block_keep, strict=True):
            x = block(x, self.offsets, keep)  # (B, N, D)
            blocks.append(x)
        embeddings = self.decoder(x, decoder_keep, chunks)
        embeddings = embeddings.expand(self.num_tasks, -1, -1)
        divergence = self.divergence_head
        return DAFormerOutput(
            logits=self._classify(embeddings),
            embeddings=embeddings,
            divergence_logits=None
            if divergence is None
            else divergence(embeddings[-1]),
            blocks=tuple(blocks) if return_blocks else None,
        )

    def _classify(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) of the heads, or scaled similarities to the class means."""
        if self.class_means is None or self.training:
            return self.heads(embeddings)
        joined = embeddings.transpose(0, 1).flatten(1)  # (B, T·D)
        cosines = F.normalize(joined.float(), dim=1) @ self.class_means.T
        return cosines / _MEANS_TEMPERATURE

    def _draw_keep(
        self,
        batch: int,
        generator: torch.Generator | None,
        part: tuple[int, int] = (0, 1),
    ) -> tuple[Sequence[torch.Tensor | None], torch.Tensor | None]:
        """Factors of the residuals under stochastic depth (Huang et al., ECCV 2016).

        Each sample drops each residual on its own, in the decoder for each task too;
        what is kept is divided by its probability. One draw serves the whole pass.

        Returns:
            (2, B) for each encoder block and (2, T, B) for the decoder.
        """
        num_blocks = len(self.encoder)
        if not self.training or self.config.stochastic_depth == 0:
            return [None] * num_blocks, None
        if generator is None:
            raise ValueError(
                "forward needs a generator in training mode, for model.stochastic_depth"
                f" = {self.config.stochastic_depth}"
            )
        rows = num_blocks + self.num_tasks
        number, num_parts = part
        draws = torch.rand(
            (rows, 2, batch * num_parts), generator=generator, device=generator.device
        )
        draws = draws[:, :, number * batch : (number + 1) * batch]
        decoder_rate = self.keep_rates[-1:].expand(self.num_tasks)
        rates = torch.cat((self.keep_rates[:-1], decoder_rate))[:, None, None]
        keep = (draws.to(rates.device) < rates) / rates
        return keep[:num_blocks].unbind(), keep[num_blocks:].transpose(0, 1)

    def _renew_divergence_head(self, generator: torch.Generator) -> None:
        width, size = self.config.embed_dim, self.task_sizes[-1]
        head = TaskHead(width, size + 1, generator=generator)
        self.divergence_head = head.to(self.pos_embed)


def _make_decoder(
    config: ModelConfig, num_tokens: int, generator: torch.Generator
) -> DualAttentionDecoder | TaskAttentionDecoder:
    width, heads, ratio = config.embed_dim, config.num_heads, config.mlp_ratio
    if config.decoder == "task_attention":
        return TaskAttentionDecoder(width, heads, ratio, generator=generator)
    attention = DualAttention(
        width,
        heads,
        num_tokens,
        edition=config.edition,
        parts=config.attention,
        generator=generator,
    )
    return DualAttentionDecoder(attention, ratio, generator=generator)


def _check_sizes(
    config: ModelConfig, image_size: int, in_channels: int, task_sizes: Sequence[int]
) -> None:
    if image_size < 1 or image_size % config.patch_size:
        raise InputError(
            f"model.patch_size = {config.patch_size} must divide the images' side, "
            f"{image_size} pixels"
        )
    if in_channels < 1:
        raise InputError(f"in_channels = {in_channels} must be at least 1")
    if round(config.embed_dim * config.mlp_ratio) < 1:
        raise InputError(
            f"model.mlp_ratio = {config.mlp_ratio} must be at least 1 / "
            f"model.embed_dim = 1 / {config.embed_dim}"
        )
    if not task_sizes:
        raise InputError("task_sizes = [] must hold at least one task")
    for size in task_sizes:
        _check_task_size(size)


def _check_task_size(num_classes: int) -> None:
    if num_classes < 1:
        raise InputError(
            f"num_classes = {num_classes}: a task must have at least 1 class"
        )
