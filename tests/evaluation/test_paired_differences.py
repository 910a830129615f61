"""Pairs of runs, and what is said of their differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daformer_kedro.evaluation.difference_sentences import difference_sentences
from daformer_kedro.evaluation.paired_differences import (
    image_scores,
    paired_differences,
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


def test_images_are_the_same_by_their_digest_or_else_by_their_path() -> None:
    rows = runs_of(HITS)
    rows["test_images"] = [f"of {key}" for key in rows["baseline"]]
    assert paired_differences(rows, {})["num_pairs"].tolist() == [0, 0]
    rows["settings"] = [{"source.path": key} for key in rows["baseline"]]
    rows["test_images"] = None
    assert paired_differences(rows, {})["num_pairs"].tolist() == [0, 0]
    rows["test_images"] = "of both"
    assert paired_differences(rows, {})["num_pairs"].tolist() == [2, 2]


def test_one_seed_at_two_paths_is_one_pair() -> None:
    rows = runs_of({key: HITS[key] for key in ("none0", "replay0")})
    rows["test_images"] = "of both"
    elsewhere = rows.assign(
        run_key=rows["run_key"] + "_elsewhere",
        settings=[{"source.path": "elsewhere"}] * 2,
        start_time=1,
    )
    table = paired_differences(pd.concat([rows, elsewhere]), {})
    assert table["num_pairs"].tolist() == [1, 1]


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
        " t interval −0.6 to 7.4; a difference of one point "
        "would need about 12 pairs, estimated from 3\n"
    ) in difference_sentences(rows)
    single = rows.assign(num_pairs=1, pairs_for_one_point=pd.NA, t_low=math.nan)
    said = difference_sentences(single)
    assert "1 pair, 360 test images; one pair says nothing about other seeds" in said


def test_one_method_has_no_differences() -> None:
    table = paired_differences(runs_of({"none0": HITS["none0"]}), {})
    assert table.empty
    assert difference_sentences(table) == ""
