"""DAFormer: a transformer whose decoder embeds an image once for each task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.checks import (
    check_images,
    check_model,
    check_sizes,
    check_task_size,
)
from daformer_kedro.model.classifier import TaskHeads
from daformer_kedro.model.decoders import decoder_class
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.model.output import DAFormerOutput
from daformer_kedro.model.stochastic_depth import StochasticDepth
from daformer_kedro.model.task_batch import ALL_AT_ONCE, TaskChunks


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

    Attributes:
        divergence_head: auxiliary head, which only training needs.
        closed_form: what classifies instead of the heads in evaluation mode, where a
            method has set it, see :mod:`~daformer_kedro.methods.classifiers`.

    Raises:
        InputError: settings and data do not fit together.
    """

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
        check_sizes(in_channels, task_sizes)
        generator = generator or torch.Generator().manual_seed(0)
        self.config, self.image_size, self.in_channels = config, image_size, in_channels
        self.encoder = encoder_class(config.encoder)(
            config, image_size=image_size, in_channels=in_channels, generator=generator
        )
        self.stochastic_depth = StochasticDepth(
            config.stochastic_depth, self.encoder.num_blocks
        )
        self.decoder = decoder_class(config.decoder)(
            config, self.encoder.num_tokens, generator=generator
        )
        for _ in task_sizes[1:]:
            self.decoder.add_task(generator)
        self.heads = TaskHeads(config.embed_dim, task_sizes, generator=generator)
        self.divergence_head = self.heads.auxiliary(generator) if divergence else None
        self.closed_form: nn.Module | None = None

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
            part: number of this part of a batch, and how many equal parts it has.
            chunks: how the decoder goes through the tasks.

        Raises:
            ValueError: the images have another shape, or the generator is missing.
        """
        check_images(images, self.in_channels, self.image_size)
        # Not len(): exports would take the size of the batch to be fixed.
        num = images.shape[0]
        keep = self.stochastic_depth(num, self.num_tasks, generator, part)
        blocks = self.encoder(images, keep.blocks)  # (B, N, D) each
        embeddings = self.decoder(blocks[-1], keep.decoder, chunks)  # (T, B, D)
        closed_form = None if self.training else self.closed_form
        classify = self.heads if closed_form is None else closed_form
        diverge = self.divergence_head
        return DAFormerOutput(
            logits=classify(embeddings),  # (B, C)
            embeddings=embeddings,
            divergence_logits=None if diverge is None else diverge(embeddings[-1]),
            blocks=blocks if return_blocks else None,
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
        check_task_size(num_classes)
        generator = generator or torch.Generator().manual_seed(self.num_tasks)
        self.decoder.add_task(generator)
        self.heads.add_task(num_classes, generator)
        self.closed_form = None
        self.divergence_head = self.heads.auxiliary(generator) if divergence else None

    def remove_divergence_head(self) -> None:
        """Drop the auxiliary head, which only training needs."""
        self.divergence_head = None

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
        return self.heads.tasks()[0].linear.weight.device
