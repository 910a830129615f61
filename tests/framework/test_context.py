"""Environments that extend others, and what wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from daformer_kedro.errors import InputError
from daformer_kedro.framework.config_loader import ProjectConfigLoader
from daformer_kedro.settings import CONFIG_LOADER_ARGS

# Kedro calls what OmegaConf gives up.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")

ENVIRONMENTS = {
    "base": {
        "protocol": "base",
        "training": {"schedule": "published", "epochs": 1, "batch_size": 1},
        "memory": {"total": 1, "per_class": None},
    },
    "near": {"extends": "far", "training": {"batch_size": 3}},
    "far": {"protocol": "far", "training": {"epochs": 2, "batch_size": 2}},
    "a_class": {"extends": "near", "memory": {"per_class": 20}},
    "around": {"extends": "about"},
    "about": {"extends": "around"},
    "lost": {"extends": "nowhere"},
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name, values in ENVIRONMENTS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "parameters.yml").write_text(yaml.safe_dump(values))
    return tmp_path


def parameters(conf: Path, env: str | None, **overrides: Any) -> dict[str, Any]:
    loader = ProjectConfigLoader(
        str(conf), env=env, runtime_params=overrides, **CONFIG_LOADER_ARGS
    )
    return loader["parameters"]


def test_an_environment_starts_from_the_one_it_extends(conf: Path) -> None:
    found = parameters(conf, "near")
    assert found["protocol"] == "far"
    assert found["training"] == {
        "schedule": "published",
        "epochs": 2,
        "batch_size": 3,
    }
    assert found["memory"] == {"total": 1, "per_class": None}
    assert "extends" not in found


def test_overrides_win_over_every_environment(conf: Path) -> None:
    found = parameters(conf, "near", training={"epochs": 9}, protocol="mine")
    assert found["protocol"] == "mine"
    assert (found["training"]["epochs"], found["training"]["batch_size"]) == (9, 3)


def test_a_later_layer_decides_how_the_memory_is_given(conf: Path) -> None:
    assert parameters(conf, "a_class")["memory"] == {"total": None, "per_class": 20}
    total = parameters(conf, "a_class", memory={"total": 7})
    assert total["memory"] == {"total": 7, "per_class": None}
    a_class = parameters(conf, "near", memory={"per_class": 5})
    assert a_class["memory"] == {"total": None, "per_class": 5}


def test_without_an_environment_the_base_holds(conf: Path) -> None:
    (conf / "local").mkdir()
    assert parameters(conf, None)["protocol"] == "base"
    (conf / "local" / "parameters.yml").write_text("extends: far\n")
    assert parameters(conf, None)["protocol"] == "far"


def test_a_circle_is_shown(conf: Path) -> None:
    with pytest.raises(InputError, match="circle: around → about → around"):
        parameters(conf, "around")


def test_an_unknown_parent_is_named(conf: Path) -> None:
    with pytest.raises(InputError, match=r"'nowhere' in conf/lost .* no conf/now"):
        parameters(conf, "lost")


def test_only_environments_extend(conf: Path) -> None:
    with pytest.raises(InputError, match="not in --params"):
        parameters(conf, "near", extends="far")


def test_a_user_s_schedule_wins_over_an_environment_s(conf: Path) -> None:
    (conf / "quick").mkdir()
    (conf / "quick" / "parameters.yml").write_text(
        yaml.safe_dump({"training": {"schedule": "short"}})
    )
    assert parameters(conf, "quick")["training"]["epochs"] != 1
    overrides = {"training": {"schedule": "published"}}
    found = parameters(conf, "quick", **overrides)["training"]
    assert (found["schedule"], found["epochs"]) == ("published", 1)


def test_a_disk_of_the_machine_holds_for_every_environment(conf: Path) -> None:
    (conf / "local").mkdir()
    (conf / "local" / "parameters.yml").write_text(
        "cache: {scratch: /scratch, strict: true}\nprotocol: mine\n"
    )
    found = parameters(conf, "near")
    assert found["cache"] == {"scratch": "/scratch"}
    assert found["protocol"] == "far"
    given = parameters(conf, "near", cache={"scratch": None})
    assert given["cache"] == {"scratch": None}
    assert parameters(conf, None)["cache"]["strict"]
