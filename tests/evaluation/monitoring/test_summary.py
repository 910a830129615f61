"""One sentence on a stream, for each way in which it can come out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daformer_kedro.config import MonitorConfig
from daformer_kedro.config.monitor_section import TESTS
from daformer_kedro.evaluation.monitoring.summary import summarise_days

NEW = "New classes have probably arrived: the next task is due"


def day(name: str, tested: bool = True, **adjusted: float) -> dict[str, Any]:
    values = {f"adjusted_{test}": adjusted.get(test, np.nan) for test in TESTS}
    return {
        "day": name,
        "num_images": 30 if tested else 3,
        "share_unknown": 0.314,
        "expected_unknown": 0.05,
        "accuracy": 0.5,
        "expected_accuracy": np.nan,
        **values,
        "tested": tested,
        "differs": any(value <= 0.01 for value in adjusted.values()),
    }


def said(*days: dict[str, Any], not_learnt: Any = None, **settings: Any) -> Any:
    config = MonitorConfig(**settings)
    summary = summarise_days(pd.DataFrame(days), config, {}, not_learnt or {})
    json.dumps(summary, allow_nan=False)
    return summary


def test_new_classes_are_the_next_task() -> None:
    summary = said(
        day("2026-11-23", unknown=0.4),
        day("2026-11-24", unknown=0.001, embeddings=0.002),
        day("2026-11-25", accuracy=0.01),
    )
    assert summary["sentence"] == (
        "2 of 3 days differ: 2026-11-24 (31 % unknown, expected 5 %; other "
        f"embeddings), 2026-11-25 (accuracy 50 %, expected –). {NEW}"
    )
    assert (summary["differs"], summary["next_task_is_due"]) == (True, True)
    assert summary["days"][1]["why"] == ["unknown", "embeddings"]
    assert summary["days"][0]["expected_accuracy"] is None


@pytest.mark.parametrize(
    ("days", "settings", "sentence", "differs"),
    [
        (
            [day("2026-11-23", unknown=0.4), day("2026-11-24", False)],
            {},
            "None of 1 day differs from the reference; 1 day with fewer than 20 images "
            "was not tested",
            False,
        ),
        (
            [day("2026-11-23", False), day("2026-11-30", False)],
            {"period": "week"},
            "No week could be tested; 2 weeks have fewer than 20 images",
            False,
        ),
        (
            [day("2026-11-23", embeddings=0.001)],
            {},
            "1 of 1 day differs: 2026-11-23 (other embeddings). The images have "
            "changed: look at them before relying on the answers",
            True,
        ),
    ],
)
def test_sentences(days: Any, settings: Any, sentence: str, differs: bool) -> None:
    summary = said(*days, **settings)
    assert summary["sentence"] == sentence
    assert summary["differs"] is differs
    assert summary["next_task_is_due"] is False


def test_labels_of_classes_never_learnt_are_enough() -> None:
    quiet = day("2026-11-23", unknown=0.4)
    assert not said(quiet, not_learnt={"nine": 19})["differs"]
    summary = said(quiet, not_learnt={"nine": 20, "eight": 1})
    assert summary["next_task_is_due"]
    assert summary["sentence"].endswith(
        f"; labels of classes never learnt: nine (20 images). {NEW}"
    )


def test_of_many_days_some_are_named() -> None:
    days = [day(f"2026-11-{n}", unknown=0.001) for n in range(10, 17)]
    assert (
        "2026-11-14 (31 % unknown, expected 5 %) and 2 more." in said(*days)["sentence"]
    )
