"""Gated positional self-attention and its start."""

import pytest
import torch

from daformer_kedro.model.encoders.gated_attention import relative_offsets
from daformer_kedro.model.encoders.gated_block import (
    EncoderBlock,
    block_weights,
    locality_weights,
)


def make_block(num_heads=4, embed_dim=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return EncoderBlock(
        embed_dim, num_heads, 2.0, locality_strength=1.0, generator=generator
    )


def make(**sizes):
    return make_block(**sizes).attn


def test_relative_offsets_point_from_query_to_key():
    # Patches 0 1 / 2 3: from 1 (right above) to 2 (left below).
    offsets = relative_offsets(2)
    assert offsets.shape == (4, 4, 3)
    assert offsets[1, 2].tolist() == [-1, 1, 2]
    assert offsets[2, 1].tolist() == [1, -1, 2]
    assert offsets[3, 3].tolist() == [0, 0, 0]


def test_locality_of_four_heads():
    # c = 1/2: shifts are -1 and 1; h1 runs fastest and sets δy.
    expected = [[-1, -1, -1], [-1, 1, -1], [1, -1, -1], [1, 1, -1]]
    assert locality_weights(4, 1.0).tolist() == expected


def test_locality_of_nine_heads_has_a_centre():
    weights = locality_weights(9, 0.5)
    assert weights[4].tolist() == [0, 0, -0.5]
    assert weights[5].tolist() == [0, 1, -0.5]


def test_heads_beyond_the_square_keep_their_random_start():
    weight = make(num_heads=6, embed_dim=12).pos_proj.weight
    assert torch.equal(weight[:4], locality_weights(4, 1.0))
    assert 0 < weight[4:].abs().max() < 0.2


def test_start():
    attention = make()
    assert torch.equal(attention.v.weight, torch.eye(8))
    assert attention.gating_param.tolist() == [1.0] * 4
    assert attention.qk.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert attention.proj.bias.abs().max() == 0


@pytest.mark.parametrize("gate", [None, -70.0, 17.0, 90.0])
def test_blend_of_content_and_position(gate):
    """Each of two blocks, whose weights are prepared together."""
    blocks = [make_block(num_heads=2, seed=seed) for seed in (0, 1)]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (p for block in blocks for p in block.parameters()):
            parameter.normal_(generator=generator)
            if gate is not None and parameter.shape == (2,):
                parameter[0] = gate
    x = torch.randn(3, 9, 8, generator=generator)
    offsets = relative_offsets(3)
    prepared, _ = block_weights(blocks, offsets, torch.float32)
    for block, weights in zip(blocks, prepared, strict=True):
        expected = blended(block.attn, x, offsets)
        torch.testing.assert_close(
            block.attn(x, weights), expected, atol=1e-5, rtol=1e-4
        )


def blended(attention, x, offsets):
    query, key = attention.qk(x).split(8, dim=-1)
    value, gate = attention.v(x), attention.gating_param.sigmoid()
    heads = []
    for head, part in enumerate((slice(0, 4), slice(4, 8))):
        content = (query[..., part] @ key[..., part].mT / 2).softmax(-1)
        position = attention.pos_proj(offsets)[..., head].softmax(-1)
        weights = (1 - gate[head]) * content + gate[head] * position
        heads.append(weights @ value[..., part])
    return attention.proj(torch.cat(heads, dim=-1))
