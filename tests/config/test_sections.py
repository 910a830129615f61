"""Settings: what is accepted, and what a refused one says."""

from __future__ import annotations

import pytest

from daformer_kedro.config import MemoryConfig, SourceConfig, validated
from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError


def test_nested_sections_become_frozen_dataclasses() -> None:
    config = Config.from_parameters(
        {"training": {"epochs": 3, "sharpness": {"rho": 2}}, "memory": {"total": 10}}
    )
    assert config.training.epochs == 3
    assert config.training.sharpness.rho == 2.0
    with pytest.raises(AttributeError):
        config.training.epochs = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"trainin": {}}, r"^trainin is not a parameter\. Did you mean training\?"),
        (
            {"training": {"sharpness": {"roh": 1}}},
            r"^training\.sharpness\.roh is not a parameter\. Did you mean rho\? "
            r"Allowed here: adaptive, first_task, rho$",
        ),
        (
            {"training": {"batch_size": -3}},
            r"^training\.batch_size = -3 must be greater than 0$",
        ),
        ({"training": {"learning_rate": float("nan")}}, r"learning_rate = nan must"),
        (
            {"training": {"batch_size": 64, "devices": 3}},
            r"^training: batch_size = 64 must be a multiple of training\.devices = 3$",
        ),
        (
            {
                "training": {
                    "batch_size": 6,
                    "devices": 2,
                    "nnodes": 2,
                    "rendezvous": "a:1",
                }
            },
            r"^training: batch_size = 6 .*devices = 2 times training\.nnodes = 2$",
        ),
        (
            {
                "training": {"batch_size": 6, "devices": 3},
                "finetuning": {"batch_size": 8},
            },
            r"finetuning\.batch_size = 8 must be a multiple of training\.devices = 3$",
        ),
        ({"training": {"nnodes": 2}}, r"^training: rendezvous = None: HOST:PORT is"),
        ({"training": {"rendezvous": "a:1"}}, r"^training: rendezvous = 'a:1': HOST"),
        ({"training": {"rendezvous": "a"}}, r"^training\.rendezvous = 'a' must match"),
        ({"training": {"engine": "mpi"}}, r"^training\.engine = 'mpi' must be 'torch'"),
        ({"training": {"device": "tpu"}}, r"^training\.device = 'tpu' must match"),
        ({"model": {"edition": "L"}}, r"^model\.edition = 'L' must be 'S' or 'M'$"),
        (
            {"losses": {"knn_distillation": {"num_neighbours": 1}}},
            r"^losses\.knn_distillation\.num_neighbours = 1 must be greater than or",
        ),
        (
            {
                "training": {"batch_size": 8},
                "augmentation": {"repeats": 3},
                "losses": {"knn_distillation": {"scope": "batch"}},
            },
            r"training\.batch_size = 8 holds fewer than 3 images .* at least 9",
        ),
        ({"model": {"attention": []}}, r"^model: attention = \[\] must name"),
        (
            {"memory": {"selection": "hard", "total": 4}},
            r"'herding', 'random' or 'clos",
        ),
        ({"memory": {}}, r"^memory: total = None and per_class = None: give exactly"),
        ({"memory": {"total": 1, "per_class": 1}}, r"give exactly one of the two$"),
        ({"memory": {"total": 0}}, r"^memory\.total = 0 must be greater than 0$"),
        (
            {"scenario": {"class_order": "random"}},
            r"^scenario\.class_order = 'random' ",
        ),
        (
            {"scenario": {"increment": [2, 0]}},
            r"scenario\.increment\.1 = 0 must be gre",
        ),
        ({"preprocessing": {"mean": [0.1, 0.2], "std": [1.0]}}, r"mean has 2 channels"),
        ({"seed": "x"}, r"^seed = 'x' must be a valid integer"),
        ({"protocol": "a/b"}, r"^protocol = 'a/b' must match pattern"),
        ({"training": 3}, r"^training = 3 must be a dictionary"),
        (
            {"training": {"schedule": "long"}},
            r"^training\.schedule = 'long' must be 'published' or 'short'$",
        ),
        ({"baseline": "replya"}, r"^baseline = 'replya' must be 'none', 'finetune'"),
    ],
)
def test_refused_settings_name_key_value_and_what_is_allowed(
    parameters: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Config.from_parameters(parameters)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Config.from_parameters({"seed": -1, "training": {"epochs": 0, "x": 1}})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "seed",
        "training.epochs",
        "training.x",
    ]


def test_a_section_alone_is_named_by_its_key() -> None:
    with pytest.raises(InputError, match=r"^memory\.totl is not a parameter"):
        validated(MemoryConfig, {"totl": 3}, "memory")
    with pytest.raises(InputError, match=r"^memory = 3 must be a mapping"):
        validated(MemoryConfig, 3, "memory")  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", [True, None, 1000.0])
def test_a_class_that_yaml_makes_something_else_of_is_refused(entry: object) -> None:
    with pytest.raises(
        InputError, match=rf"source\.classes: {entry} is neither a name"
    ):
        validated(SourceConfig, {"classes": ["maybe", entry]}, "source")
