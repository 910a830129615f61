"""Layers of settings: which of them wins."""

from __future__ import annotations

from typing import Any

import pytest

from daformer_kedro.config.run import SCHEDULES, Config, apply_overlays, lay_over
from daformer_kedro.errors import InputError

PARAMETERS = {
    "training": {"schedule": "short", "epochs": 500, "device": "cpu"},
    "memory": {"keep": "exemplars", "total": 100},
    "finetuning": {"epochs": 7, "batch_size": 4},
}


def test_a_baseline_changes_the_parameters_and_explicit_ones_win() -> None:
    parameters = PARAMETERS | {"baseline": "finetune", "training": {}}
    merged = apply_overlays(parameters, {})
    assert merged["memory"] == {"keep": "nothing", "total": 100}
    assert merged["finetuning"] == {"epochs": 0, "batch_size": 4}
    assert merged["losses"]["logit_distillation"] == {"weight": 0.0}

    explicit = apply_overlays(parameters, {"finetuning": {"epochs": 7}})
    assert explicit["finetuning"]["epochs"] == 7
    assert explicit["memory"]["keep"] == "nothing"
    assert parameters["memory"]["keep"] == "exemplars"


def test_the_short_schedule_replaces_the_environments_and_explicit_ones_win() -> None:
    merged = apply_overlays(PARAMETERS, {})
    short = SCHEDULES["short"]
    assert merged["training"]["epochs"] == short["training"]["epochs"] < 500
    assert merged["training"]["sharpness"]["rho"] == 0
    assert merged["training"]["device"] == "cpu"
    assert merged["finetuning"] == short["finetuning"]

    explicit = apply_overlays(PARAMETERS, {"training": {"epochs": 3}})
    assert explicit["training"]["epochs"] == 3
    assert explicit["training"]["schedule"] == "short"


def test_the_published_schedule_changes_nothing() -> None:
    parameters = PARAMETERS | {"training": {"schedule": "published", "epochs": 500}}
    assert apply_overlays(parameters, {}) == parameters


def test_what_a_baseline_switches_off_no_schedule_switches_on() -> None:
    merged = apply_overlays(PARAMETERS | {"baseline": "finetune"}, {})
    assert merged["finetuning"]["epochs"] == 0


def test_a_schedule_sets_the_length_and_strength_of_training_alone() -> None:
    for schedule in SCHEDULES.values():
        assert set(schedule) <= {"training", "augmentation", "finetuning"}
        Config.from_parameters(schedule)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"baseline": "ewc"}, r"^baseline = 'ewc' is unknown; allowed: none, finetune"),
        (
            {"training": {"schedule": "long"}},
            r"^training\.schedule = 'long' is unknown; allowed: published, short$",
        ),
    ],
)
def test_unknown_overlays_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply_overlays(parameters, {})


@pytest.mark.parametrize(
    ("below", "above", "memory"),
    [
        ({"total": 9}, {"per_class": 2}, {"total": None, "per_class": 2}),
        ({"per_class": 2}, {"total": 9}, {"total": 9, "per_class": None}),
        ({"total": 9}, {"total": 8}, {"total": 8, "per_class": None}),
        # Both in one layer: a contradiction for the validation to name.
        (
            {"total": 9},
            {"total": 8, "per_class": 2},
            {"total": 8, "per_class": 2},
        ),
        ({"total": 9}, {"per_class": None}, {"total": 9, "per_class": None}),
        ({"total": 9}, {"selection": "random"}, {"total": 9, "selection": "random"}),
    ],
)
def test_one_way_to_give_the_memory_ends_the_other(
    below: dict[str, Any], above: dict[str, Any], memory: dict[str, Any]
) -> None:
    assert lay_over({"memory": below}, {"memory": above})["memory"] == memory


@pytest.mark.parametrize(
    ("above", "settings"),
    [
        ({"seed": 1}, {"ridge": 0.1}),
        ({"baseline": "ridge"}, {"ridge": 0.1}),
        ({"baseline_settings": {"num_random_features": 5}}, None),
        ({"baseline": "prototypes"}, {}),
        ({"baseline": "other", "baseline_settings": {"epochs": 2}}, {"epochs": 2}),
    ],
)
def test_settings_of_a_method_end_with_the_method(
    above: dict[str, Any], settings: dict[str, Any] | None
) -> None:
    below = {"baseline": "ridge", "baseline_settings": {"ridge": 0.1}}
    both = {"ridge": 0.1, "num_random_features": 5}
    expected = both if settings is None else settings
    assert lay_over(below, above)["baseline_settings"] == expected


def test_no_layer_is_changed_by_what_is_laid_over_it() -> None:
    below = {"memory": {"total": 9}}
    lay_over(below, {"memory": {"per_class": 2}})
    assert below == {"memory": {"total": 9}}


def _overlay(baseline: str) -> dict[str, Any]:
    merged = apply_overlays({"baseline": baseline, "memory": {"total": 100}}, {})
    config = Config.from_parameters(merged)
    sharpness = config.training.sharpness
    return {
        "decoder": config.model.decoder,
        "knn": config.losses.knn_distillation.weight,
        "smoothing": config.losses.classification.label_smoothing,
        "mixup": config.augmentation.mixup_alpha,
        "sharpness": (sharpness.rho, sharpness.adaptive, sharpness.first_task),
        "divergence": config.losses.divergence.weight,
        "distillation": config.losses.logit_distillation.weight,
    }


@pytest.mark.parametrize(
    ("baseline", "mixup", "smoothing", "rho"),
    [
        ("dytox", 0.0, 0.0, 0.0),
        ("dytox_plus", 0.8, 0.1, 0.0),
        ("dytox_plusplus", 0.8, 0.1, 3.0),
    ],
)
def test_dytox_baselines_hold_the_published_option_files(
    baseline: str, mixup: float, smoothing: float, rho: float
) -> None:
    assert _overlay(baseline) == {
        "decoder": "task_attention",
        "knn": 0.0,
        "smoothing": smoothing,
        "mixup": mixup,
        "sharpness": (rho, True, False),
        "divergence": 0.1,
        "distillation": 1.0,
    }
