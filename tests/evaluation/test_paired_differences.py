"""Intervals beside a bootstrap written out by hand, and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daformer_kedro.evaluation.difference_sentences import difference_sentences
from daformer_kedro.evaluation.paired_differences import (
    bootstrap_interval,
    image_scores,
    paired_differences,
    pairs_needed,
    t_interval,
)


def predictions(hits: list[list[int]]) -> list[pd.DataFrame]:
    """Tables after each task; images are of class ``index // 2``."""
    tables = []
    for row in hits:
        index = np.arange(len(row))
        target = index // 2
        predicted = np.where(np.array(row, bool), target, 9)
        tables.append(
            pd.DataFrame(
                {"sample_index": index, "target": target, "predicted": predicted}
            )
        )
    return tables


def run(
    method: str, seed: int, after_task: list[float], **values: Any
) -> dict[str, Any]:
    row = {
        "protocol": "digits",
        "edition": "S",
        "baseline": method,
        "schedule": "published",
        "settings_key": method,
        "run_key": f"{method}{seed}",
        "class_order": "identity",
        "seed": str(seed),
        "start_time": 0,
        "average_incremental_accuracy": float(np.mean(after_task)),
        "last_accuracy": after_task[-1],
        "num_classes_seen": [1, 2],
        "settings": {},
    }
    return row | values


# Two images of the first task's class, then two more of the second's.
HITS = {
    "none0": [[1, 1], [1, 1, 1, 0]],
    "none1": [[1, 1], [1, 0, 1, 1]],
    "replay0": [[1, 0], [0, 0, 1, 0]],
    "replay1": [[1, 1], [1, 0, 0, 1]],
}


def runs_of(hits: dict[str, list[list[int]]], **values: Any) -> pd.DataFrame:
    rows = []
    for key, tables in hits.items():
        after = [float(np.mean(table)) for table in tables]
        rows.append(run(key[:-1], int(key[-1]), after, **values))
    return pd.DataFrame(rows)


def test_images_divide_an_accuracy_among_them() -> None:
    tables = predictions(HITS["replay0"])
    # (1/2 + 1/4) / 2 after two tasks: the first image adds 1/2 / 2, the third 1/4 / 2.
    assert image_scores("average_incremental_accuracy", tables).tolist() == [
        0.25,
        0,
        0.125,
        0,
    ]
    assert image_scores("last_accuracy", tables).tolist() == [0, 0, 0.25, 0]


def test_a_difference_is_the_mean_over_pairs_of_the_same_seed() -> None:
    stored = {key: predictions(hits) for key, hits in HITS.items()}
    table = paired_differences(runs_of(HITS), stored).set_index("measure")
    last = table.loc["last_accuracy"]
    assert (last["method"], last["other"]) == ("DAFormer-S", "replay (S)")
    assert last["num_pairs"] == 2
    assert last["difference"] == pytest.approx((50 + 25) / 2)
    assert last["num_images"] == 4
    # t quantile with one degree of freedom: 12.7062; deviation 25 / sqrt 2.
    assert last["t_high"] - last["difference"] == pytest.approx(
        12.7062 * 12.5, rel=1e-4
    )


def by_hand(
    differences: np.ndarray, strata: np.ndarray, count: int
) -> tuple[float, float]:
    generator = np.random.default_rng(5)
    means = []
    for _ in range(count):
        pairs = generator.integers(len(differences), size=len(differences))
        total = 0.0
        for label in np.unique(strata):
            images = np.flatnonzero(strata == label)
            drawn = generator.choice(images, size=len(images))
            total += differences[pairs][:, drawn].sum(axis=1).mean()
        means.append(total)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("num_pairs", [1, 4])
def test_an_interval_is_that_of_a_bootstrap_by_hand(num_pairs: int) -> None:
    generator = np.random.default_rng(0)
    shifts = generator.normal(0.02, 0.02, size=(num_pairs, 1))
    differences = shifts + generator.normal(0, 0.3, size=(num_pairs, 60))
    strata = np.repeat([0, 1, 2], [10, 20, 30])
    found = bootstrap_interval(differences, strata)
    assert found is not None
    assert found == pytest.approx(by_hand(differences, strata, 6_000), abs=0.3)
    width = found[1] - found[0]
    assert 2 < width < 20  # so that 0.3 is little


def test_images_of_one_class_stay_and_runs_alone_are_drawn() -> None:
    values = np.array([[0.0], [4.0]])
    # Drawn twice from two: 0, 2, 2 or 4.
    assert bootstrap_interval(values, None) == (0.0, 4.0)
    single = np.array([[1.0, 2.0], [1.0, 2.0]])
    assert bootstrap_interval(single, np.array([0, 1])) == (3.0, 3.0)
    assert bootstrap_interval(np.array([[1.0]]), None) is None
    assert bootstrap_interval(np.array([[1.0, 2.0]]), np.array([0, 1])) is None


def test_students_interval_is_the_textbooks() -> None:
    # Mean 2, deviation 1, three values: 2 ± 4.3027 / sqrt 3.
    low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


@pytest.mark.parametrize(
    ("deviation", "needed"),
    # G*Power, paired t-test, two tails, effects 1, 0.8, 0.5 and 0.2.
    [(1.0, 10), (1.25, 15), (2.0, 34), (5.0, 199), (0.0, 2), (0.01, 2)],
)
def test_the_power_is_that_of_published_tables(deviation: float, needed: int) -> None:
    assert pairs_needed(deviation) == needed
    assert pairs_needed(3 * deviation, difference=3.0) == needed


def test_runs_without_predictions_are_drawn_whole_and_that_is_said() -> None:
    stored = {key: predictions(hits) for key, hits in HITS.items() if key != "none1"}
    table = paired_differences(runs_of(HITS), stored)
    assert table["num_images"].isna().all()
    last = table.set_index("measure").loc["last_accuracy"]
    assert (last["low"], last["high"]) == (25.0, 50.0)
    assert "2 pairs, runs alone resampled, since" in difference_sentences(table)


def test_predictions_of_another_attempt_are_not_taken_for_the_runs() -> None:
    stored = {key: predictions(hits) for key, hits in HITS.items()}
    stored["none0"] = predictions([[0, 0], [0, 0, 0, 0]])
    assert paired_differences(runs_of(HITS), stored)["num_images"].isna().all()


def test_other_images_make_no_pair() -> None:
    rows = runs_of(HITS)
    rows["settings"] = [
        {"source.split_seed": str(int(key == "replay0"))} for key in rows["run_key"]
    ]
    table = paired_differences(rows, {})
    assert table["num_pairs"].tolist() == [1, 1]
    rows["seed"] = rows["baseline"] + rows["seed"]
    table = paired_differences(rows, {})
    assert table["num_pairs"].tolist() == [0, 0]
    assert table["difference"].isna().all()
    assert "DAFormer-S − replay (S): no two runs" in difference_sentences(table)


def test_a_difference_is_said_in_a_sentence() -> None:
    rows = pd.DataFrame(
        [
            {
                "method": "S",
                "other": "replay",
                "measure": "average_incremental_accuracy",
                "num_pairs": 3,
                "difference": 3.42,
                "low": 1.94,
                "high": 4.81,
                "num_images": 360,
                "t_low": -0.61,
                "t_high": 7.4,
                "pairs_for_one_point": 12,
            }
        ]
    )
    assert (
        "- S − replay: +3.4 points, 95 % interval 1.9 to 4.8, 3 pairs, 360 test images;"
        " t interval −0.6 to 7.4; a difference of one point would need 12 pairs\n"
    ) in difference_sentences(rows)
    single = rows.assign(num_pairs=1, pairs_for_one_point=pd.NA, t_low=math.nan)
    said = difference_sentences(single)
    assert "1 pair, 360 test images; one pair says nothing about other seeds" in said


def test_one_method_has_no_differences() -> None:
    table = paired_differences(runs_of({"none0": HITS["none0"]}), {})
    assert table.empty
    assert difference_sentences(table) == ""
