"""Keys of result folders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from daformer_kedro.config import (
    ComparisonConfig,
    ExportConfig,
    InferenceConfig,
    MlflowConfig,
)
from daformer_kedro.config.run import (
    Config,
    result_overrides,
    result_settings,
    run_key,
    run_name,
    settings_key,
    source_key,
)

CONFIG = Config()


def test_the_key_reads_as_protocol_edition_order_and_seed() -> None:
    assert run_key(CONFIG).startswith("digits_S_order-identity_seed0_")
    assert run_name(CONFIG) == "digits_S_order-identity_seed0"
    replay = replace(CONFIG, baseline="replay", seed=3)
    assert run_name(replay) == "digits_S_replay_order-identity_seed3"


def test_the_short_schedule_is_named_and_has_keys_of_its_own() -> None:
    training = replace(CONFIG.training, schedule="short")
    short = replace(CONFIG, training=training)
    assert run_name(short) == "digits_S_short_order-identity_seed0"
    joint = replace(short, baseline="joint")
    assert run_name(joint) == "digits_S_joint_short_order-identity_seed0"
    assert settings_key(short) != settings_key(CONFIG)


def test_a_run_without_the_test_images_is_named_so() -> None:
    source = replace(CONFIG.source, validation_fraction=0.2)
    name = run_name(replace(CONFIG, source=source))
    assert name == "digits_S_validation_order-identity_seed0"


def test_an_explicit_class_order_is_not_spelt_out() -> None:
    scenario = replace(CONFIG.scenario, class_order=(1, 0))
    assert run_name(replace(CONFIG, scenario=scenario)).endswith("order-custom_seed0")


def test_any_setting_that_changes_results_changes_the_key() -> None:
    training = replace(CONFIG.training, learning_rate=1e-3)
    memory = replace(CONFIG.memory, total=7)
    keys = {
        run_key(CONFIG),
        run_key(replace(CONFIG, training=training)),
        run_key(replace(CONFIG, memory=memory)),
        run_key(replace(CONFIG, training=training, memory=memory)),
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "places",
    [
        {"device": "cpu"},
        {"devices": 4},
        {"devices": 2, "nnodes": 2, "rendezvous": "host:29400"},
        {"engine": "ray"},
    ],
)
def test_where_it_was_trained_does_not(places: dict[str, Any]) -> None:
    training = replace(CONFIG.training, **places)
    assert run_key(replace(CONFIG, training=training)) == run_key(CONFIG)


def test_images_are_shared_by_runs_of_one_source() -> None:
    assert source_key(replace(CONFIG, seed=5)) == source_key(CONFIG)
    split = replace(CONFIG.source, split_seed=1)
    assert source_key(replace(CONFIG, source=split)) != source_key(CONFIG)


def test_what_is_done_with_results_does_not_change_where_they_lie() -> None:
    other = replace(
        CONFIG,
        comparison=ComparisonConfig(filter="tags.seed = '1'"),
        inference=InferenceConfig(images="photos", model="run", batch_size=1),
        export=ExportConfig(model="run"),
        mlflow=MlflowConfig(register_model_as="digits"),
    )
    assert run_key(other) == run_key(CONFIG)
    assert settings_key(other) == settings_key(CONFIG)


def test_repeats_share_a_settings_key_and_other_runs_do_not() -> None:
    scenario = replace(CONFIG.scenario, class_order="shuffle")
    repeat = replace(
        CONFIG,
        seed=4,
        scenario=scenario,
        source=replace(CONFIG.source, path="elsewhere"),
        training=replace(CONFIG.training, device="cpu"),
    )
    assert settings_key(repeat) == settings_key(CONFIG)
    others = (
        replace(CONFIG, scenario=replace(CONFIG.scenario, increment=5)),
        replace(CONFIG, memory=replace(CONFIG.memory, total=5)),
        replace(CONFIG, protocol="other"),
    )
    assert len({settings_key(config) for config in (CONFIG, *others)}) == 4


def test_a_stream_of_folders_grows_in_place_but_is_no_repeat_of_its_beginning() -> None:
    january, both, other = (
        replace(CONFIG, scenario=replace(CONFIG.scenario, tasks=tasks))
        for tasks in (("january",), ("january", "february"), ("february",))
    )
    assert run_key(both) == run_key(january)
    assert source_key(both) == source_key(january)
    assert run_key(other) != run_key(january)
    assert settings_key(both) != settings_key(january)
    # What a step depends on is every folder.
    assert result_settings(both)["scenario"]["tasks"] == ("january", "february")


def test_overrides_that_change_no_result_are_no_part_of_a_runs_command() -> None:
    given = {
        "seed": 3,
        "cache": {"resume": False},
        "training": {
            "save_every": 1,
            "save_minutes": 9,
            "graph": "off",
            "devices": 2,
            "epochs": 5,
        },
        "mlflow": {"register_model_as": "x"},
    }
    assert result_overrides(given) == {"seed": 3, "training": {"epochs": 5}}
    assert result_overrides({"training": {"device": "cpu"}}) == {}
