"""Attention maps against the layer's own equations."""

import pytest
import torch

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer
from daformer_kedro.model.attention_maps import attention_maps
from daformer_kedro.model.decoders.dual_attention import DualAttention


def make_model(edition="S", attention=("external", "internal"), **config):
    settings = ModelConfig(
        edition=edition,
        attention=attention,
        patch_size=2,
        embed_dim=8,
        depth=2,
        num_heads=2,
        **config,
    )
    model = DAFormer(settings, image_size=8, in_channels=1, task_sizes=(2, 2, 2))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.normal_(generator=generator)
    images = torch.randn(5, 1, 8, 8, generator=generator)
    return model.eval(), images


@pytest.mark.parametrize(("edition", "num_external"), [("S", 1), ("M", 3)])
def test_a_map_for_each_image_and_task(edition, num_external):
    maps = attention_maps(*make_model(edition))
    assert maps.external.shape == (5, num_external, 4, 4)
    assert maps.internal.shape == (5, 3, 4, 4)
    for shares in (maps.external, maps.internal):
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum((2, 3)), torch.ones(shares.shape[:2]))


def test_an_ablated_part_has_no_map():
    maps = attention_maps(*make_model(attention=("external",)))
    assert maps.internal is None
    assert maps.external.shape == (5, 1, 4, 4)
    maps = attention_maps(*make_model("M", attention=("internal",)))
    assert maps.external is None
    assert maps.internal.shape == (5, 3, 4, 4)


@pytest.mark.parametrize("edition", ["S", "M"])
def test_weights_give_the_layer_its_output(edition):
    generator = torch.Generator().manual_seed(0)
    layer = DualAttention(
        8, 2, 5, edition=edition, parts=("external", "internal"), generator=generator
    )
    layer.add_task()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
    x = torch.randn(3, 5, 8, generator=generator)
    external, internal = layer.attention_weights(x)
    value = layer.value(x).view(3, 5, 2, 4)
    attended = torch.einsum("tbhnm,bmhd->tbnhd", external + internal, value).flatten(3)
    weights = layer.weights()
    shared = layer.share(x, weights)
    output = layer(shared, weights).permute(3, 0, 2, 1, 4).flatten(3)
    if edition == "S":
        output = output + layer.external(shared).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attended, output, atol=1e-5, rtol=1e-4)


def test_an_internal_bias_draws_the_eye_to_its_patch():
    model, images = make_model()
    with torch.no_grad():
        model.decoder.attn.internal_keys[1].zero_()
        model.decoder.attn.internal_biases[1].zero_()[6] = 50.0
    internal = attention_maps(model, images).internal[:, 1]
    expected = torch.zeros(5, 4, 4)
    expected[:, 1, 2] = 1.0  # patch 6 of a 4 by 4 grid
    torch.testing.assert_close(internal, expected)


def test_task_attention_is_refused():
    model, images = make_model(decoder="task_attention")
    with pytest.raises(InputError, match="'task_attention' has no dual attention"):
        attention_maps(model, images)
