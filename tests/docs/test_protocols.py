"""Every published protocol, value by value: environments against the documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from daformer_kedro.config.run import Config
from daformer_kedro.framework.config_loader import ProjectConfigLoader
from daformer_kedro.scenario.class_order import (
    published_class_orders,
    resolve_class_order,
)
from daformer_kedro.scenario.tasks import resolve_task_sizes
from daformer_kedro.settings import CONFIG_LOADER_ARGS

# Kedro calls what OmegaConf gives up.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs" / "recipe.md").read_text()
TEXT = (ROOT / "docs" / "protocols.md").read_text()
NUM_CLASSES = {"cifar100": 100, "imagenet100": 100, "imagenet1000": 1000}

SHARED = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", RECIPE, re.M))
OF_SOURCE = re.findall(r"^\| `(\w+\.\w+)` \| `([^`]+)` \| `([^`]+)` \|$", TEXT, re.M)
ROWS = re.findall(
    r"^\| `(\w+)_([\d-]+)` \| (\d+) \| `(\w+)` \| `(\d+)` \| `(\d+)` \| ([\d, ]+) \|$",
    TEXT,
    re.M,
)
PROTOCOLS = [f"{row[0]}_{row[1]}" for row in ROWS]


def published(row: tuple[str, ...]) -> dict[str, str]:
    """The settings of a protocol, as YAML, by dotted name."""
    source, _, _, initial, increment, total, _ = row
    column = 1 if source == "cifar100" else 2
    return {
        **SHARED,
        **{values[0]: values[column] for values in OF_SOURCE},
        "scenario.initial_increment": initial,
        "scenario.increment": increment,
        "memory.total": total,
        "memory.per_class": "null",
        "training.schedule": "published",
        "source.name": source,
    }


def parameters(env: str, **overrides: Any) -> dict[str, Any]:
    loader = ProjectConfigLoader(
        str(ROOT / "conf"), env=env, runtime_params=overrides, **CONFIG_LOADER_ARGS
    )
    return loader["parameters"]


def lookup(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def same(one: Any, other: Any) -> bool:
    # YAML reads 1e-05 as text; both sides go through float where they can.
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return bool(one == other)


def same_as(found: dict[str, Any], key: str, value: str) -> bool:
    return same(lookup(found, key), yaml.safe_load(value))


def test_the_documents_name_every_protocol() -> None:
    assert PROTOCOLS == [
        "cifar100_10-10",
        "cifar100_5-5",
        "cifar100_2-2",
        "cifar100_50-10",
        "imagenet100_10-10",
        "imagenet100_50-10",
        "imagenet1000_100-100",
    ]
    assert len(SHARED) > 40
    assert len(OF_SOURCE) == 5
    folders = {f.name for f in (ROOT / "conf").iterdir() if f.is_dir()}
    assert folders - {"base", "local", "test", "cifar100_mini"} >= set(PROTOCOLS)


def test_both_tables_agree_on_cifar100() -> None:
    both = {key: cifar for key, cifar, _ in OF_SOURCE if key in SHARED}
    assert both == {key: SHARED[key] for key in both}
    assert len(both) == 4


@pytest.mark.parametrize("row", ROWS, ids=PROTOCOLS)
def test_an_environment_holds_the_published_values(row: tuple[str, ...]) -> None:
    found = parameters(f"{row[0]}_{row[1]}")
    wrong = {
        key: lookup(found, key)
        for key, value in published(row).items()
        if not same_as(found, key, value)
    }
    assert wrong == {}
    assert found["protocol"] == f"{row[0]}_{row[1]}"


@pytest.mark.parametrize("row", ROWS, ids=PROTOCOLS)
def test_a_protocol_has_its_tasks_and_class_orders(row: tuple[str, ...]) -> None:
    scenario = parameters(f"{row[0]}_{row[1]}")["scenario"]
    num_classes = NUM_CLASSES[row[0]]
    sizes = resolve_task_sizes(
        num_classes, scenario["initial_increment"], scenario["increment"]
    )
    first, later = (int(size) for size in row[1].split("-"))
    assert sizes == (first, *[later] * (int(row[2]) - 1))
    orders = [int(number) for number in row[6].split(",")]
    assert published_class_orders(row[0]) == tuple(orders)
    found = {
        resolve_class_order(number, source_name=row[0], num_classes=num_classes, seed=0)
        for number in orders
    }
    assert len(found) == len(orders)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_environment_is_valid(protocol: str) -> None:
    assert Config.from_parameters(parameters(protocol)).protocol == protocol


def test_the_short_schedule_is_the_documented_one() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)`[^|]*\| [^|`]+ \| ([\d.e-]+) \|$", TEXT, re.MULTILINE
    )
    short = parameters("cifar100_10-10", training={"schedule": "short"})
    assert {key: float(lookup(short, key)) for key, _ in rows} == {
        key: float(value) for key, value in rows
    }
    changed = {key for key, value in SHARED.items() if not same_as(short, key, value)}
    assert changed == {key for key, _ in rows}


@pytest.mark.parametrize("protocol", [p for p in PROTOCOLS if "cifar" in p])
def test_a_short_schedule_keeps_the_protocol(protocol: str) -> None:
    long = parameters(protocol)
    short = parameters(protocol, training={"schedule": "short"})
    assert Config.from_parameters(short).training.epochs < long["training"]["epochs"]
    kept = set(long) - {"training", "augmentation", "finetuning"}
    assert {key: short[key] for key in kept} == {key: long[key] for key in kept}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_memory_can_be_given_a_class(protocol: str) -> None:
    memory = parameters(protocol, memory={"per_class": 20})["memory"]
    assert (memory["total"], memory["per_class"]) == (None, 20)
