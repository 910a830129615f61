"""Names and numbers of a study's space, compared with the settings that there are."""

from __future__ import annotations

from typing import Any

import pytest

from daformer_kedro.config.run import Config
from daformer_kedro.config.study_section import Dimension
from daformer_kedro.errors import InputError
from daformer_kedro.runs.search_space import search_space


def searched(space: dict[str, Any], **parameters: Any) -> list[Dimension]:
    given = {"study": {"space": space}, **parameters}
    return search_space(Config.from_parameters(given))


@pytest.mark.parametrize(
    ("name", "given", "is_whole"),
    [
        ("training.epochs", {"range": [1.0, 3.0]}, True),
        ("training.initial_epochs", {"log_range": [2, 8]}, True),
        ("augmentation.mixup_alpha", {"range": [0, 1]}, False),
        ("augmentation.mixup_alpha", {"range": [0, 1], "step": 1}, False),
        ("training.max_minutes", {"range": [1, 2]}, False),
        ("losses.knn_distillation.weight", {"range": [0, 1]}, False),
        ("baseline_settings.num_random_features", {"range": [0, 9.0]}, True),
        ("model.encoder_settings.unknown", {"range": [0, 9]}, True),
    ],
)
def test_a_range_has_the_numbers_of_its_setting(
    name: str, given: dict[str, Any], is_whole: bool
) -> None:
    (dimension,) = searched({name: given}, baseline="ridge")
    assert dimension.is_whole == is_whole
    for end in (dimension.low, dimension.high):
        assert not is_whole or isinstance(end, int)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"training.epochs": {"range": [1.5, 3]}}, r"epochs = .*1.5.*a whole number"),
        ({"training.epochs": {"range": [1, 3], "step": 0.5}}, "must be the ends and t"),
        ({"training.freeze_old_tasks": {"range": [0, 1]}}, "the setting is no number"),
        ({"model.edition": {"range": [0, 1]}}, r"edition = .* list its values"),
        ({"training": [1, 2]}, "training is a section; name settings of it"),
        ({"study.trials": [1, 2]}, "study.trials changes no result"),
        ({"training.save_minutes": [1, 2]}, "training.save_minutes changes no result"),
        ({"training.device": ["cpu"]}, "training.device changes no result"),
        ({"comparison": {"filter": ["a"]}}, "comparison.filter changes no result"),
        (
            {"training.learning_rate": {"log_rnage": [0.01, 0.1]}},
            r"training.learning_rate = {'log_rnage': \[0.01, 0.1\]}: allowed: a list",
        ),
        (
            {"training": {"epochs": {"rnage": {"range": [1, 2]}}}},
            r"training.epochs = {'rnage': {'range': \[1, 2\]}}: allowed: a list",
        ),
    ],
)
def test_what_cannot_be_searched_is_named(space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^study\.space: .*{message}"):
        searched(space)


def test_a_name_that_is_not_known_is_left_to_the_run() -> None:
    assert searched({"training.epoch": [1]}) == [Dimension("training.epoch", (1,))]
