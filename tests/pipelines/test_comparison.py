"""From runs in MLflow to the table, as a user types it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from daformer_kedro.errors import InputError

EDITION_S = {"comparison": {"filter": "tags.edition = 'S'"}}


@pytest.mark.slow
def test_repeats_in_mlflow_become_means(project: Any) -> None:
    values = []
    for seed in (0, 1):
        project.run(params={"seed": seed})
    project.run(params={"seed": 1, "baseline": "replay"})
    for folder in (project.path / "data" / "08_reporting").iterdir():
        if "replay" not in folder.name:
            results = pd.read_csv(folder / "results.csv")
            values.append(results["accuracy"].iloc[-1])
    project.run("comparison", params=EDITION_S)
    folder = project.path / "data" / "08_reporting" / "comparison"
    table = pd.read_csv(folder / "comparison.csv").set_index("method")
    assert table["num_runs"].to_dict() == {"DAFormer-S": 2, "replay (S)": 1}
    mean = 100 * sum(values) / 2
    assert table.loc["DAFormer-S", "last_accuracy"] == pytest.approx(mean)
    deviation = 100 * abs(values[0] - values[1]) / 2**0.5
    assert table.loc["DAFormer-S", "last_accuracy_deviation"] == pytest.approx(
        deviation
    )
    assert set(table["memory"].astype(str)) == {"30"}
    names = {path.name for path in folder.iterdir() if path.suffix != ".meta"}
    assert names == {
        "comparison.csv",
        "comparison.md",
        "comparison.tex",
        "comparison.png",
        "costs.csv",
        "costs.png",
        "curves.csv",
        "differences.csv",
        "differences.png",
    }
    curves = pd.read_csv(folder / "curves.csv")
    assert curves["num_classes_seen"].tolist() == [4, 7, 10] * 2

    differences = pd.read_csv(folder / "differences.csv").set_index("measure")
    found = differences.loc["last_accuracy"]
    assert found["num_pairs"] == 1  # of the seed that both have
    assert found["num_images"] == 360  # of the predictions that are stored
    assert found["low"] <= found["difference"] <= found["high"]
    costs = pd.read_csv(folder / "costs.csv").set_index("method")
    row = costs.loc["DAFormer-S"]
    assert row["exemplar_bytes"] == 30 * 8 * 8  # of the memory's digits
    assert row["stored_bytes"] == 30 * 8 * 8 + 4 * row["num_parameters"]
    assert row["learning_seconds"] > 0
    assert row["processor_seconds"] > 0
    text = (folder / "comparison.md").read_text(encoding="utf-8")
    assert "1 pair, 360 test images; one pair says nothing about other seeds" in text


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        ({"filter": "tags.protocol = 'none'"}, "'none'\" matches no finished run"),
        ({"filter": "protocol is digits"}, "is not a filter that MLflow understands"),
        ({"experiment": "other"}, "comparison.experiment = 'other' is not in MLflow"),
    ],
)
def test_a_search_without_result_says_why(
    project: Any, comparison: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        project.run("comparison", params={"comparison": comparison})


def test_a_comparison_is_no_run_itself(project: Any) -> None:
    project.run("ingestion")  # an unfinished run: it has no results
    with pytest.raises(InputError, match="1 runs were found"):
        project.run("comparison")
    with pytest.raises(InputError, match="1 runs were found"):
        project.run("comparison")
