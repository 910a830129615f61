"""Spaces of studies: what they mean, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from daformer_kedro.config.study_section import Dimension, StudyConfig
from daformer_kedro.errors import InputError
from daformer_kedro.validation import validated


def dimensions(space: dict[str, Any]) -> list[Dimension]:
    return validated(StudyConfig, {"space": space}, "study").dimensions


def test_names_may_be_dotted_or_nested_and_null_leaves_out() -> None:
    space = {
        "training.epochs": {"range": [10, 50], "step": 10},
        "training": {
            "learning_rate": {"log_range": [0.01, 1]},
            "sharpness": {"rho": [0.0, 3.0]},
        },
        "augmentation.mixup_alpha": None,
    }
    assert dimensions(space) == [
        Dimension("training.epochs", low=10, high=50, step=10, is_whole=True),
        Dimension("training.learning_rate", low=0.01, high=1, is_log=True),
        Dimension("training.sharpness.rho", choices=(0.0, 3.0)),
    ]


def test_whole_numbers_stay_whole() -> None:
    epochs, rate = dimensions({"a": {"range": [1, 5]}, "b": {"range": [0.5, 5]}})
    assert epochs.is_whole
    assert not rate.is_whole
    assert epochs.extremes == (1, 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (0.1, r"study.space: .*a.b = 0.1: allowed: a list of values such as"),
        ([], r"a.b = \[\]: allowed: a list"),
        ({"range": [1]}, r"a.b = {'range': \[1\]}: allowed"),
        ({"range": [2, 1]}, "the first end must be less than the second"),
        ({"log_range": [0, 1]}, "less than the second, both above 0"),
        ({"range": [0, 1], "step": 0}, "the step above 0"),
        ({"range": ["1", 2]}, "the ends and the step are numbers"),
        ({"range": [True, 2]}, "the ends and the step are numbers"),
        ({"log_range": [1, 2], "step": 1}, "log_range has no step"),
        ({"range": [1, 2], "log_range": [1, 2]}, "allowed: a list"),
        ({"range": [1, 2], "stop": 1}, "allowed: a list"),
        ([1, 1], "names a value twice"),
        ([[1], [2]], r"has the choice \[1\]"),
        (["a,b"], "splits at commas"),
    ],
)
def test_a_mistake_names_the_setting_and_what_is_allowed(
    given: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        dimensions({"a.b": given})


@pytest.mark.parametrize("name", ["seed", "source.split_seed", "scenario.increment"])
def test_what_trials_are_measured_on_stays(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} cannot be searched"):
        dimensions({name: [1, 2]})
