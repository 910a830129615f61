"""Networks of timm as encoders: tokens, freezing, rates, chance, checkpoints."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer, check_model
from daformer_kedro.model.attention_maps import attention_maps
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.encoders import encoder_class, timm_backbone
from daformer_kedro.model.encoders.defaults import fill_from_encoder
from daformer_kedro.model.encoders.timm_backbone import outline
from daformer_kedro.model.encoders.timm_encoder import TimmEncoder
from daformer_kedro.model.freezing import freeze_for_finetuning, freeze_for_training

VIT, CNN = "test_vit", "test_efficientnet"


def make(name: str = VIT, *, channels: int = 3, side: int = 32, **settings) -> DAFormer:
    settings.setdefault("input_size", 32)
    config = ModelConfig(
        encoder=name, encoder_settings=settings, embed_dim=24, num_heads=4
    )
    return DAFormer(config, image_size=side, in_channels=channels, task_sizes=[2, 3])


def encoder(name: str = VIT, **arguments) -> TimmEncoder:
    made = make(name, **arguments).eval().encoder
    assert isinstance(made, TimmEncoder)
    return made


def images(channels: int = 3, side: int = 32, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, channels, side, side, generator=generator)


@pytest.mark.parametrize(
    ("name", "size", "grid", "width"),
    [
        ("test_efficientnet", 64, (2, 2), 256),  # NCHW
        ("test_mambaout", 64, (2, 2), 64),  # NHWC
        ("test_vit", 48, (3, 3), 64),  # a class token
        ("test_vit3", 48, (3, 3), 96),  # registers
        ("test_vit_relpos", 48, (3, 3), 96),  # neither
        ("test_coatnet", 64, (2, 2), 128),  # a size of its own
        ("resnet10t", 64, (2, 2), 512),
    ],
)
def test_maps_and_sequences_become_tokens(name, size, grid, width) -> None:
    found = encoder(name, input_size=size, side=size)
    assert (found.grid, found.outline.width) == (grid, width)
    assert found.num_tokens == grid[0] * grid[1]
    with torch.no_grad():
        tokens = found.embed(images(side=size))
        assert tokens.shape == (2, found.num_tokens, width)
        (projected,) = found(images(side=size))
    assert projected.shape == (2, found.num_tokens, 24)


@pytest.mark.parametrize(
    ("name", "size", "grid", "num_prefix_tokens"),
    [
        ("deit_tiny_distilled_patch16_224", 224, (14, 14), 2),
        ("volo_d1_224", 64, (4, 4), 1),  # a class token that timm does not count
        ("pit_ti_224", 224, (1, 1), 0),  # returns its class token alone
        ("efficientformer_l1", 224, (7, 7), 0),  # a map, then a sequence
    ],
)
def test_shapes_that_a_pass_without_numbers_finds(name, size, grid, num_prefix_tokens):
    found = outline(name, size)
    assert (found.grid, found.num_prefix_tokens) == (grid, num_prefix_tokens)


@pytest.mark.parametrize("name", [CNN, "resnet10t", "test_mambaout"])
def test_the_mean_of_a_maps_tokens_is_timms_pooled_map(name) -> None:
    found = encoder(name, input_size=64, side=64)
    with torch.no_grad():
        features = found.backbone.forward_features(images(side=64))
        pool = timm.layers.SelectAdaptivePool2d(
            pool_type="avg",
            flatten=True,
            input_fmt=getattr(found.backbone, "output_fmt", "NCHW"),
        )
        ours = found.embed(images(side=64)).mean(dim=1)
    torch.testing.assert_close(ours, pool(features))


@pytest.mark.parametrize("name", ["test_vit", "test_vit3", "test_efficientnet"])
def test_tokens_are_where_timm_has_them_in_the_image(name) -> None:
    found = encoder(name, input_size=64, side=64)
    with torch.no_grad():
        (timms,) = found.backbone.forward_intermediates(
            images(side=64), indices=1, norm=True, intermediates_only=True
        )
        if name == "test_efficientnet":  # timm leaves the last convolution out there
            timms = found.backbone.bn2(found.backbone.conv_head(timms))
        ours = found.embed(images(side=64)).unflatten(1, found.grid)
    torch.testing.assert_close(ours.permute(0, 3, 1, 2), timms)


def test_tokens_of_the_right_width_are_not_mapped() -> None:
    config = ModelConfig(encoder=VIT, embed_dim=64, num_heads=4)
    found = DAFormer(config, image_size=32, in_channels=3, task_sizes=[2]).encoder
    assert isinstance(found.projection, nn.Identity)
    mapped = encoder(VIT)
    (tokens,) = mapped(images())
    torch.testing.assert_close(tokens, mapped.projection(mapped.embed(images())))


def test_tokens_that_are_already_there_are_only_mapped() -> None:
    model = make(CNN).eval()
    with torch.no_grad():
        stored = model.encoder.embed(images())
        assert torch.equal(model.encoder(stored)[0], model.encoder(images())[0])


def test_grey_images_count_as_three_equal_colours() -> None:
    grey = encoder(CNN, channels=1)
    with torch.no_grad():
        expected = grey.backbone.forward_features(images(1).repeat(1, 3, 1, 1))
        torch.testing.assert_close(
            grey.embed(images(1)), expected.flatten(2).transpose(1, 2)
        )
    with pytest.raises(InputError, match=r"in_channels = 4 .* must be 1 \(grey\) or 3"):
        make(CNN, channels=4)


@pytest.mark.parametrize("side", [8, 80])
def test_images_of_another_size_are_scaled(side) -> None:
    scaled = encoder(VIT, side=side, input_size=48)
    exact = encoder(VIT, side=48, input_size=48)
    assert scaled.grid == exact.grid == (3, 3)
    pixels = torch.nn.functional.interpolate(
        images(side=side), (48, 48), mode="bicubic", antialias=True
    )
    with torch.no_grad():
        torch.testing.assert_close(scaled.embed(images(side=side)), exact.embed(pixels))


def test_the_size_is_timms_unless_it_is_set() -> None:
    assert encoder(VIT, input_size=None).grid == (10, 10)
    assert encoder(VIT, input_size=32).grid == (2, 2)


def test_defaults_are_timms() -> None:
    section = {"encoder": "tf_efficientnet_lite0", "embed_dim": None}
    found = encoder_class("tf_efficientnet_lite0").defaults(section)
    half = [0.5, 0.5, 0.5]
    assert found == {
        "model": {"embed_dim": 1280},
        "preprocessing": {
            "mean": half,
            "std": half,
            "image_size": 224,
            "resize": 256,
        },
    }
    section = {"encoder": "resnet18.tv_in1k", "encoder_settings": {"input_size": 160}}
    found = encoder_class("resnet18.tv_in1k").defaults(section)
    assert found["model"] == {"embed_dim": 512}
    assert found["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert found["preprocessing"]["image_size"] == 160
    assert found["preprocessing"]["resize"] == 182  # timm rounds 160 / 0.875 down


@pytest.mark.parametrize(
    ("is_grey", "mean", "std"),
    [
        (False, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        (True, [1.347 / 3], [0.678 / 3]),
    ],
)
def test_grey_images_are_normalised_by_the_mean_of_the_colours(
    is_grey, mean, std
) -> None:
    nothing = {"mean": None, "std": None, "image_size": None, "resize": None}
    parameters = {"model": {"encoder": "resnet18.tv_in1k"}, "preprocessing": nothing}
    filled = fill_from_encoder(parameters, of_files=False, is_grey=lambda: is_grey)
    assert filled["preprocessing"]["mean"] == pytest.approx(mean)
    assert filled["preprocessing"]["std"] == pytest.approx(std)
    assert filled["preprocessing"]["image_size"] is None


@pytest.mark.parametrize("name", [VIT, "swin_s3_tiny_224"])
def test_the_global_random_state_is_neither_read_nor_changed(name) -> None:
    def made(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
        model = make(name).train()
        with torch.no_grad():  # stochastic depth within swin would draw here
            model(images(), generator=torch.Generator().manual_seed(0))
        after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
        assert torch.equal(before[0], after[0])
        assert np.array_equal(before[1], after[1])
        assert before[2] == after[2]
        return model.state_dict()

    first, second = made(1), made(2)
    for name_, weight in first.items():
        assert torch.equal(weight, second[name_]), name_


def test_another_generator_gives_other_weights() -> None:
    config = ModelConfig(encoder=VIT, embed_dim=24, num_heads=4)
    first, second = (
        DAFormer(
            config,
            image_size=32,
            in_channels=3,
            task_sizes=[2],
            generator=torch.Generator().manual_seed(seed),
        ).encoder.backbone.pos_embed
        for seed in (1, 2)
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        (VIT, r"blocks\.5\.|norm\."),
        ("test_resnet", r"layer4\."),
        (CNN, r"blocks\.4\.|conv_head|bn2"),
        ("swin_s3_tiny_224", r"layers\.3\.|norm\."),
        ("lcnet_050", r"blocks\.5\."),
    ],
)
def test_the_last_stage_alone_trains(name, trained) -> None:
    found = encoder(name, train="last")
    for key, parameter in found.backbone.named_parameters():
        assert parameter.requires_grad == bool(re.match(trained, key)), key
    assert all(p.requires_grad for p in found.projection.parameters())


def test_what_no_token_depends_on_does_not_train() -> None:
    still = {
        name
        for name, p in encoder("lcnet_050", train="all").backbone.named_parameters()
        if not p.requires_grad
    }
    assert still == {"conv_head.weight", "conv_head.bias"}


@pytest.mark.parametrize("train", ["frozen", "last", "all"])
def test_frozen_parts_do_not_change(train) -> None:
    model = make(CNN, train=train)
    freeze_for_training(model)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    output = model(images(batch=4), generator=torch.Generator().manual_seed(0))
    output.logits.square().sum().backward()
    optimiser.step()
    changed = {
        name.removeprefix("encoder.backbone.")
        for name, value in model.state_dict().items()
        if name.startswith("encoder.backbone.") and not torch.equal(value, before[name])
    }
    assert bool(changed) == (train != "frozen")
    statistics = {name for name in changed if "running" in name}
    if train == "last":
        assert {name.split(".")[0] for name in changed} == {
            "blocks",
            "bn2",
            "conv_head",
        }
        assert all(n.startswith(("blocks.4.", "bn2.", "conv_head")) for n in changed)
        assert "bn2.running_mean" in statistics
    if train == "all":
        assert "bn1.running_mean" in statistics
    assert not torch.equal(
        model.encoder.projection.weight, before["encoder.projection.weight"]
    )


@pytest.mark.parametrize(
    ("train", "weights", "fixed"),
    [("frozen", "w.pth", True), ("frozen", "none", False), ("last", "w.pth", False)],
)
def test_tokens_can_be_stored_of_a_frozen_pretrained_network(train, weights, fixed):
    settings = {"train": train, "weights": weights}
    config = ModelConfig(encoder=VIT, encoder_settings=settings)
    assert encoder_class(VIT).is_fixed(config) == fixed
    assert not encoder_class("gated_attention").is_fixed(ModelConfig())


def test_finetuning_leaves_the_statistics_of_a_trained_network_alone() -> None:
    model = make(CNN, train="all")
    freeze_for_finetuning(model)
    model.train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    model(images(batch=4), generator=torch.Generator().manual_seed(0))
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    freeze_for_training(model)
    model.train()
    assert model.encoder.backbone.bn1.training


@pytest.mark.parametrize("name", [VIT, CNN, "test_resnet"])
def test_layer_decay_is_timms(name) -> None:
    found = encoder(name, layer_decay=0.5, learning_rate_scale=0.1)
    expected = {
        parameter: 0.1 * group["lr_scale"]
        for group in param_groups_layer_decay(found.backbone, layer_decay=0.5)
        for parameter in group["params"]
    }
    scales = found.learning_rate_scales()
    assert scales.keys() == expected.keys()
    for parameter, scale in scales.items():
        assert scale == pytest.approx(expected[parameter])
    assert len(set(scales.values())) > 3


def test_the_layers_of_a_transformer_are_its_blocks() -> None:
    found = encoder(VIT, layer_decay=0.5)
    scales = found.learning_rate_scales()
    by_name = {name: scales[p] for name, p in found.backbone.named_parameters()}
    assert by_name["norm.weight"] == by_name["blocks.5.mlp.fc2.bias"] == 1
    assert by_name["blocks.4.norm1.bias"] == 0.5
    assert by_name["blocks.0.norm1.bias"] == 0.5**5
    assert by_name["pos_embed"] == by_name["patch_embed.proj.bias"] == 0.5**6


def test_one_rate_for_all_that_is_pretrained() -> None:
    found = encoder(VIT, learning_rate_scale=0.1)
    scales = found.learning_rate_scales()
    assert set(scales) == set(found.backbone.parameters())
    assert set(scales.values()) == {0.1}
    assert encoder(VIT).learning_rate_scales() == {}
    assert encoder(VIT, train="frozen", layer_decay=0.5).learning_rate_scales() == {}


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (VIT, {"input_size": 40}, r"'test_vit' does not take images of 40 .*divisible"),
        ("crossvit_9_240", {"input_size": None}, r"'crossvit_9_240' is not an encoder"),
        ("rdnet_tiny", {"train": "last"}, r"rdnet_tiny into layers: .* frozen or all"),
        (
            "caformer_s18",
            {"layer_decay": 0.5},
            r"caformer_s18 into layers: .*must be 1",
        ),
        (
            VIT,
            {"train": "first"},
            r"encoder_settings\.train = 'first' must be 'frozen'",
        ),
        (VIT, {"layer_decay": 0}, r"encoder_settings\.layer_decay = 0 must be greater"),
        (
            VIT,
            {"wieghts": "none"},
            r"wieghts is not a parameter\. Did you mean weights",
        ),
        ("test_vitt", {}, r"'test_vitt' is not an encoder\. Nearest: test_vit"),
        ("resnet18.a9_in1k", {}, r"Nearest: resnet18\.a\d_in1k"),
        ("gated_atention", {}, r"Nearest: gated_attention\. Allowed: gated_attention"),
        ("hf-hub:timm/test_vit", {}, r"'hf-hub:timm/test_vit' is not an encoder"),
    ],
)
def test_what_is_refused(name, settings, said) -> None:
    config = ModelConfig(encoder=name, encoder_settings={"input_size": 32} | settings)
    with pytest.raises(InputError, match=said):
        check_model(config, 32)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ZeroDivisionError("division by zero"), InputError),
        (AssertionError("Input height (17) …"), InputError),
        (AttributeError("no attribute 'grid'"), AttributeError),
        (TypeError("unexpected keyword"), TypeError),
        (KeyError("stem"), KeyError),
        (MemoryError("no room"), MemoryError),
    ],
)
def test_only_sizes_that_do_not_fit_are_laid_to_the_settings(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[Exception]
) -> None:
    def broken(name: str, side: int) -> None:
        raise error

    monkeypatch.setattr(timm_backbone, "create_empty", broken)
    with pytest.raises(expected, match=re.escape(str(error))):
        outline.__wrapped__(VIT, 17)


def test_old_logits_stay_to_the_bit_when_a_task_is_added() -> None:
    model = make(CNN).eval()
    with torch.no_grad():
        before = model(images()).logits
        model.add_task(4, generator=torch.Generator().manual_seed(5))
        after = model.eval()(images()).logits
    assert after.shape == (2, 9)
    assert torch.equal(after[:, :5], before)


def test_attention_has_the_grid_of_the_tokens() -> None:
    model = make(VIT, input_size=48, side=48).eval()
    maps = attention_maps(model, images(side=48))
    assert maps.internal is not None
    assert maps.internal.shape == (2, 2, 3, 3)


def test_a_checkpoint_needs_no_weights_from_elsewhere(tmp_path) -> None:
    model = make(CNN).eval()
    origin = {"weights": "w.pth", "source": "w.pth", "licence": None, "sha256": "5a"}
    model.encoder.origin = origin
    model.config = replace(
        model.config,
        encoder_settings=model.config.encoder_settings
        | {"weights": str(tmp_path / "gone.pth")},
    )
    kept = Checkpoint.of(
        model, preprocessing=PreprocessingConfig(), class_names=tuple("abcde")
    )
    assert kept.description["encoder"] == origin
    built = kept.build()
    assert built.encoder.origin == origin
    with torch.no_grad():
        assert torch.equal(built(images()).logits, model(images()).logits)
    with pytest.raises(InputError, match=r"gone\.pth' is not a file"):
        check_model(model.config, 32)


def test_checkpoints_without_an_origin(tmp_path) -> None:
    model = make(VIT)
    kept = Checkpoint.of(
        model, preprocessing=PreprocessingConfig(), class_names=tuple("abcde")
    )
    assert "encoder" not in kept.description
    assert kept.build().encoder.origin is None
