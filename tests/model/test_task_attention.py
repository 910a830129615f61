"""DyTox's task attention against a loop over tasks and heads."""

import torch

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.decoders.task_attention import TaskAttentionDecoder


def test_each_token_attends_to_itself_and_the_patches():
    generator = torch.Generator().manual_seed(0)
    decoder = TaskAttentionDecoder(
        ModelConfig(embed_dim=8, num_heads=2, mlp_ratio=2.0), 5, generator=generator
    )
    decoder.add_task(generator)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(generator=generator)
    x = torch.randn(3, 5, 8, generator=generator)
    for task, output in enumerate(decoder(x)):
        token = decoder.tokens[task].expand(3, 1, 8)
        z = decoder.norm1(torch.cat((token, x), dim=1))
        query, key, value = decoder.query(z[:, :1]), decoder.key(z), decoder.value(z)
        heads = [
            (query[..., part] @ key[..., part].mT / 2).softmax(-1) @ value[..., part]
            for part in (slice(0, 4), slice(4, 8))
        ]
        moved = token + decoder.proj(torch.cat(heads, dim=-1))
        expected = moved + decoder.mlp(decoder.norm2(moved))
        torch.testing.assert_close(output, expected[:, 0], atol=1e-4, rtol=1e-4)
