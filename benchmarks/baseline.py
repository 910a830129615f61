"""DAFormer-S the textbook way: what the package's speed is measured against.

A loop over tasks, the decoder run from its start for each of them, attention written
out, position scores worked out for every image, float32, a loss read from the device at
every step. Parameters have the released code's names, so that
``daformer_kedro.model.reference.from_reference_state_dict`` makes the package's model
of the same weights: ``tests/benchmarks/test_baseline.py`` checks that both compute the
same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network; CIFAR-100's by default."""

    image_size: int = 32
    patch_size: int = 4
    embed_dim: int = 384
    depth: int = 6
    num_heads: int = 12

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size


class PatchEmbed(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        patch = sizes.patch_size
        self.proj = nn.Conv2d(3, sizes.embed_dim, patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class MLP(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class PositionalAttention(nn.Module):
    """Gated positional self-attention."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        dim, self.num_heads, self.grid = sizes.embed_dim, sizes.num_heads, sizes.grid
        self.qk = nn.Linear(dim, 2 * dim, bias=False)
        self.v = nn.Linear(dim, dim, bias=False)
        self.pos_proj = nn.Linear(3, self.num_heads)
        self.gating_param = nn.Parameter(torch.ones(self.num_heads))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        heads = (batch, tokens, self.num_heads, dim // self.num_heads)
        q, k = (part.reshape(heads).transpose(1, 2) for part in self.qk(x).chunk(2, -1))
        v = self.v(x).reshape(heads).transpose(1, 2)
        content = (q @ k.transpose(-2, -1) / math.sqrt(heads[-1])).softmax(-1)
        offsets = self._offsets(x.device).expand(batch, -1, -1, -1)
        position = self.pos_proj(offsets).permute(0, 3, 1, 2).softmax(-1)
        gate = torch.sigmoid(self.gating_param).view(1, -1, 1, 1)
        attention = (1 - gate) * content + gate * position
        return self.proj((attention @ v).transpose(1, 2).reshape(batch, tokens, dim))

    def _offsets(self, device: torch.device) -> Tensor:
        place = torch.arange(self.grid, device=device)
        y, x = (axis.flatten() for axis in torch.meshgrid(place, place, indexing="ij"))
        dx, dy = x[None] - x[:, None], y[None] - y[:, None]
        return torch.stack((dx, dy, dx**2 + dy**2), dim=-1).float()


class EncoderBlock(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(sizes.embed_dim) for _ in range(2))
        self.attn = PositionalAttention(sizes)
        self.mlp = MLP(sizes.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DualAttention(nn.Module):
    """External attention plus internal attention with one task's key."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        dim, self.num_heads = sizes.embed_dim, sizes.num_heads
        self.to_q, self.to_k, self.to_v = (
            nn.Linear(dim, dim, bias=False) for _ in range(3)
        )

    def forward(self, x: Tensor, key: nn.Conv2d) -> Tensor:
        batch, tokens, dim = x.shape
        heads = (batch, tokens, self.num_heads, dim // self.num_heads)
        q, k, v = (
            layer(x).reshape(heads).transpose(1, 2)
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        q = q / math.sqrt(heads[-1])
        external = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        # (B, d, H, N) to (B, N keys, H, N) to (B, H, N, N keys)
        internal = key(q.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).softmax(-1) @ v
        return (external + internal).transpose(1, 2).reshape(batch, tokens, dim)


class DecoderBlock(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(sizes.embed_dim) for _ in range(2))
        self.attn = DualAttention(sizes)
        self.mlp = MLP(sizes.embed_dim)

    def forward(self, x: Tensor, key: nn.Conv2d) -> Tensor:
        x = x + self.attn(self.norm1(x), key)
        return x + self.mlp(self.norm2(x))


class Head(nn.Module):
    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x))


class PlainDAFormer(nn.Module):
    """DAFormer-S; ``task_sizes`` are the classes of each task."""

    def __init__(self, sizes: Sizes, task_sizes: Sequence[int]) -> None:
        super().__init__()
        dim, tokens = sizes.embed_dim, sizes.grid**2
        self.patch_embed = PatchEmbed(sizes)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, tokens, dim))
        self.sabs = nn.ModuleList(EncoderBlock(sizes) for _ in range(sizes.depth - 1))
        self.duals = nn.ModuleList([DecoderBlock(sizes)])
        width = dim // sizes.num_heads
        self.keys = nn.ModuleList(nn.Conv2d(width, tokens, 1) for _ in task_sizes)
        self.head = nn.ModuleList(Head(dim, size) for size in task_sizes)
        if len(task_sizes) > 1:
            self.head_div = Head(dim, task_sizes[-1] + 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of all classes, and of the divergence head if there is one."""
        x = self.patch_embed(images) + self.pos_embed
        for block in self.sabs:
            x = block(x)
        embeddings = [self.duals[0](x, key).mean(1) for key in self.keys]
        logits = [
            head(embedding)
            for head, embedding in zip(self.head, embeddings, strict=True)
        ]
        divergence = self.head_div(embeddings[-1]) if len(self.head) > 1 else None
        return torch.cat(logits, 1), divergence

    def freeze_old_tasks(self) -> None:
        """Earlier tasks' keys and heads do not train."""
        for modules in (self.keys, self.head):
            modules[:-1].requires_grad_(False)


def training_loss(
    model: PlainDAFormer,
    teacher: PlainDAFormer | None,
    images: Tensor,
    targets: Tensor,
) -> Tensor:
    """Classification, distillation and divergence, as the released code weighs them."""
    logits, divergence = model(images)
    classification = F.binary_cross_entropy_with_logits(logits, targets)
    if teacher is None or divergence is None:
        return classification
    with torch.no_grad():
        old, _ = teacher(images)
    num_old = old.shape[1]
    distillation = F.kl_div(
        logits[:, :num_old].log_softmax(1), old.softmax(1), reduction="none"
    ).mean()
    share = num_old / logits.shape[1]
    merged = torch.cat(
        (targets[:, :num_old].sum(1, keepdim=True), targets[:, num_old:]), 1
    )
    auxiliary = F.binary_cross_entropy_with_logits(divergence, merged)
    return (1 - share) * classification + share * distillation + 0.1 * auxiliary


def training_step(
    model: PlainDAFormer,
    teacher: PlainDAFormer | None,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    targets: Tensor,
) -> float:
    """One step of AdamW; returns the loss."""
    loss = training_loss(model, teacher, images, targets)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()
