"""DyTox's task-attention block, the decoder that DAFormer's replaces.

Douillard et al., "DyTox: Transformers for Continual Learning with DYnamic TOken
eXpansion", CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import nn

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.attention_heads import check_heads
from daformer_kedro.model.decoders.decoder import Decoder
from daformer_kedro.model.initialisation import linear, truncated_normal
from daformer_kedro.model.mlp import MLP
from daformer_kedro.model.task_batch import (
    ALL_AT_ONCE,
    TaskChunks,
    in_chunks,
    task_linear,
    task_matmul,
)


class TaskAttentionDecoder(Decoder):
    """One learned token per task gathers what its task needs from the patches.

    With z = [θᵗ; x] the token of task t before the patch tokens: θ' = θᵗ +
    Attention(q from θᵗ, k and v from z), e_t = θ' + MLP(θ'), both pre-norm. A new
    token starts truncated normal with deviation 0.02, as the first one does.
    """

    def __init__(
        self, config: ModelConfig, num_tokens: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(config, num_tokens, generator=generator)
        embed_dim = config.embed_dim
        self.num_heads = config.num_heads
        self.tokens = nn.ParameterList()
        self.norm1 = nn.LayerNorm(embed_dim)
        self.query = linear(embed_dim, embed_dim, bias=False, generator=generator)
        self.key = linear(embed_dim, embed_dim, bias=False, generator=generator)
        self.value = linear(embed_dim, embed_dim, bias=False, generator=generator)
        self.proj = linear(embed_dim, embed_dim, generator=generator)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = MLP(embed_dim, config.mlp_ratio, generator=generator)
        self.add_task(generator)

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Make sure that the heads divide the width."""
        check_heads(config)

    def add_task(self, generator: torch.Generator) -> None:
        """Add the token of one more task."""
        token = truncated_normal(self.query.in_features, generator=generator)
        self.tokens.append(nn.Parameter(token.to(self.query.weight)))

    def old_task_parameters(self) -> list[nn.Parameter]:
        """Tokens of all tasks but the newest."""
        return list(self.tokens)[:-1]

    def bytes_per_task(self, num_tokens: int, itemsize: int) -> int:
        """Activations of one task for one image, about: keys, values, scores, MLP.

        Args:
            num_tokens: N of the image.
            itemsize: bytes of a number that autocast computes with.
        """
        width = self.query.in_features
        token = 2 * itemsize * width + (2 * itemsize + 4) * self.num_heads
        return (num_tokens + 1) * token + (8 * itemsize + 40) * width

    def forward(
        self,
        x: torch.Tensor,
        keep: torch.Tensor | None = None,
        chunks: TaskChunks = ALL_AT_ONCE,
    ) -> torch.Tensor:
        """Embed the images once for each task: (T, B, D)."""
        patches = self.norm1(x)
        shared = tuple(
            self._split_heads(layer(patches)) for layer in (self.key, self.value)
        )

        def of_tasks(tasks: slice) -> torch.Tensor:
            tokens = torch.stack(list(self.tokens)[tasks])[:, None]  # (T, 1, D)
            attended = self._attend(self.norm1(tokens), *shared)  # (T, B, D)
            if keep is None:
                y = tokens + attended
                return y + self._transform(y)
            y = tokens + keep[0, tasks, :, None] * attended
            return y + keep[1, tasks, :, None] * self._transform(y)

        return in_chunks(of_tasks, len(self.tokens), chunks)

    def _attend(
        self, tokens: torch.Tensor, patch_key: torch.Tensor, patch_value: torch.Tensor
    ) -> torch.Tensor:
        """Attend from each task's token to itself and to the patches: (T, B, D)."""
        batch = patch_key.shape[0]
        query = self._expand(task_linear(tokens, self.query), batch)
        key, value = (
            torch.cat(
                (
                    self._expand(task_linear(tokens, layer), batch),
                    of_patches.expand(len(tokens), *[-1] * 4),
                ),
                dim=3,
            )
            for layer, of_patches in (
                (self.key, patch_key),
                (self.value, patch_value),
            )
        )  # each (T, B, H, 1 + N, d)
        # Not the fused kernel: with two threads on a CPU its rounding was seen to
        # depend on the number of tasks.
        query = query.flatten(0, 2) * query.shape[-1] ** -0.5
        scores = task_matmul(query, key.flatten(0, 2).mT)
        attended = task_matmul(scores.softmax(dim=-1), value.flatten(0, 2))
        attended = attended.view(len(tokens), batch, -1)
        return task_linear(attended, self.proj)

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)

    def _expand(self, tokens: torch.Tensor, batch: int) -> torch.Tensor:
        """Give every image each task's token: (T, 1, D) to (T, B, H, 1, d)."""
        return self._split_heads(tokens)[:, None].expand(-1, batch, -1, -1, -1)

    def _transform(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp(self.norm2(x))
