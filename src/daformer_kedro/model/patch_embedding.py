"""The map from an image's patches to tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daformer_kedro.model.initialisation import fan_in_uniform


class PatchEmbedding(nn.Module):
    """A linear map of each patch, which starts as PyTorch's convolutions do.

    The weights have the shape of the convolution whose stride is its size. As a matrix
    product they have one precision on every device, where cuDNN rounds convolutions to
    TF32 unless told otherwise.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dim: int,
        patch_size: int,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        fan_in = in_channels * patch_size**2
        shapes = ((embed_dim, in_channels, patch_size, patch_size), (embed_dim,))
        weight, bias = (
            fan_in_uniform(*shape, fan_in=fan_in, generator=generator)
            for shape in shapes
        )
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Map images (B, C, S, S) to tokens (B, N, D).

        Args:
            images: of any type.
            weight: the layer's own, of the type to compute in.
            bias: alike.
        """
        size = self.weight.shape[-1]
        cells = images.unflatten(3, (-1, size)).unflatten(2, (-1, size))
        patches = cells.permute(0, 2, 4, 1, 3, 5).to(
            weight.dtype, memory_format=torch.contiguous_format
        )
        return F.linear(patches.flatten(3).flatten(1, 2), weight.flatten(1), bias)
