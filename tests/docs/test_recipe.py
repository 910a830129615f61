"""The published recipe, value by value: docs/recipe.md against the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    }
    ours |= {"augmentation.random_resized_crop", "memory.per_class"}
    ours |= {"training.save_every", "training.schedule"}
    ours |= {"training.devices", "training.engine"}
    ours |= {"training.nnodes", "training.rendezvous"}
    ours |= {name for name in settings if name.startswith("losses.knn_distillation.")}
    assert settings - ours == {key for key, _ in ROWS} & settings
    assert len(ROWS) > 40
