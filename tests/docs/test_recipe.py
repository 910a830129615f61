"""The published recipe, value by value: docs/recipe.md against the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from daformer_kedro.config.run import Config
from daformer_kedro.model import DAFormer

RECIPE = Path(__file__).parents[2] / "docs" / "recipe.md"
ROWS = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", RECIPE.read_text(), re.MULTILINE)


def lookup(parameters: Any, key: str) -> Any:
    for part in key.split("."):
        parameters = parameters[part]
    return parameters


def leaves(values: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        nested = isinstance(value, dict)
        found |= leaves(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}"}
    return found


def same(one: Any, other: Any) -> bool:
    # YAML reads 1e-05 as text; both sides go through float where they can.
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return bool(one == other)


@pytest.fixture(scope="module")
def parameters(untouched: Any) -> dict[str, Any]:
    return untouched.parameters("cifar100_10-10")


@pytest.mark.parametrize(("key", "value"), ROWS)
def test_the_environment_holds_the_published_value(
    parameters: dict[str, Any], key: str, value: str
) -> None:
    assert same(lookup(parameters, key), yaml.safe_load(value))


def test_the_table_names_every_setting_of_its_sections(
    parameters: dict[str, Any],
) -> None:
    sections = ("model", "training", "augmentation", "losses", "memory", "finetuning")
    settings = leaves({name: parameters[name] for name in sections})
    ours = {
        "training.initial_epochs",
        "training.device",
        "training.precision",
        "training.compile",
        "training.graph",
    }
    ours |= {"augmentation.random_resized_crop", "augmentation.stored_views"}
    ours |= {"memory.per_class", "memory.allocation"}
    ours |= {"training.class_balance", "training.patience", "training.max_minutes"}
    ours |= {"training.save_minutes", "training.save_every", "training.schedule"}
    ours |= {"training.devices", "training.engine"}
    ours |= {"training.nnodes", "training.rendezvous"}
    ours |= {name for name in settings if name.startswith("losses.knn_distillation.")}
    assert settings - ours == {key for key, _ in ROWS} & settings
    assert len(ROWS) > 40


def _released(untouched: Any) -> Config:
    """The settings that the recipe names for training as the released code does."""
    line = re.search(r"add\n`--params ([\w.=,]+)`", RECIPE.read_text())
    assert line is not None
    given: Any = OmegaConf.to_container(OmegaConf.from_dotlist(line[1].split(",")))
    parameters = untouched.parameters("cifar100_10-10", **given)
    for key, value in ROWS:
        assert same(lookup(parameters, key), yaml.safe_load(value))
    return Config.from_parameters(parameters)


def test_training_as_released_has_its_losses_and_precision(untouched: Any) -> None:
    config = _released(untouched)
    assert config.losses.knn_distillation.weight == 0
    assert config.training.precision == "float32"


def test_training_as_released_starts_from_its_distributions(untouched: Any) -> None:
    model = DAFormer(
        _released(untouched).model,
        image_size=32,
        in_channels=3,
        task_sizes=[10, 10],
        divergence=True,
        generator=torch.Generator().manual_seed(0),
    )
    start = model.state_dict()
    uniform = 384**-0.5  # PyTorch's bound for nn.Linear(384, ...)
    for name in ("heads.0.linear", "heads.1.linear", "divergence_head.linear"):
        for part in ("weight", "bias"):
            values = start[f"{name}.{part}"]
            assert 0.7 * uniform < values.abs().max() <= uniform
        deviation = start[f"{name}.weight"].std()
        assert deviation == pytest.approx(uniform / 3**0.5, rel=0.05)
    for name in (
        "encoder.blocks.0.attn.qk",
        "encoder.blocks.4.mlp.fc1",
        "decoder.attn.query",
    ):
        assert start[f"{name}.weight"].std() == pytest.approx(0.02, rel=0.02)
    assert not start["encoder.blocks.4.mlp.fc1.bias"].any()
    assert torch.equal(start["encoder.blocks.0.attn.v.weight"], torch.eye(384))
    assert (start["encoder.blocks.0.attn.gating_param"] == 1).all()
    assert not start["decoder.attn.internal_keys.1"].any()
    assert not start["decoder.attn.internal_biases.1"].any()
