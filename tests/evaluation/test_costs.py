"""Costs of methods: means over repeats, readable units."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from daformer_kedro.evaluation.costs import (
    cost_table,
    costs_to_markdown,
    in_bytes,
    in_time,
)
from daformer_kedro.evaluation.figures import costs_figure


def run(method: str, seed: int, accuracy: float, **costs: Any) -> dict[str, Any]:
    values = {
        "learning_seconds": 90.0,
        "processor_seconds": 100.0,
        "num_parameters": 250.0,
        "parameter_bytes": 1000.0,
        "exemplar_bytes": 500.0,
        "statistics_bytes": 0.0,
        "stored_bytes": 1500.0,
    }
    row = {
        "protocol": "digits",
        "edition": "S",
        "baseline": method,
        "schedule": "published",
        "settings_key": method,
        "run_key": f"{method}{seed}",
        "class_order": "1",
        "seed": str(seed),
        "start_time": 0,
        "average_incremental_accuracy": accuracy,
        "last_accuracy": accuracy,
        "num_classes_seen": [1, 2],
        "settings": {},
        "device": "cpu",
    }
    return row | values | costs


RUNS = pd.DataFrame(
    [
        run("replay", 0, 0.5),
        run("replay", 1, 0.7, learning_seconds=150.0),
        run("ridge", 0, 0.9, stored_bytes=1200.0, processor_seconds=None),
    ]
)


def test_repeats_are_averaged_and_the_smallest_comes_first() -> None:
    table = cost_table(RUNS).set_index("method")
    assert table["stored_bytes"].tolist() == [1200.0, 1500.0]
    row = table.iloc[1]
    assert row["num_runs"] == 2
    assert row["learning_seconds"] == 120.0
    assert row["average_incremental_accuracy"] == pytest.approx(60)
    # t quantile with one degree of freedom: 12.7062; standard error 10.
    assert row["average_incremental_accuracy_low"] == pytest.approx(60 - 127.062)
    assert row["average_incremental_accuracy_high"] == pytest.approx(60 + 127.062)
    assert pd.isna(table.iloc[0]["average_incremental_accuracy_low"])


def test_the_table_has_units_and_dashes() -> None:
    text = costs_to_markdown(cost_table(RUNS))
    assert "| 60.00 | 60.00 | 2 min | 100 s | cpu | 250 | 500 B | 1.5 kB | 2 |" in text
    assert "| 90.00 | 90.00 | 90 s | – | cpu | 250 | 500 B | 1.2 kB | 1 |" in text


def test_units() -> None:
    assert [in_time(s) for s in (0.5, 119, 3600, 7200)] == [
        "0.5 s",
        "119 s",
        "60 min",
        "2 h",
    ]
    assert [in_bytes(b) for b in (999, 1_000, 6_144_000, 5e9, 5e12)] == [
        "999 B",
        "1 kB",
        "6.14 MB",
        "5 GB",
        "5e+03 GB",
    ]


@pytest.mark.parametrize(
    ("stored", "labels"),
    [
        ((30_900, 32_900), ["20 kB", "50 kB"]),  # 10.3 to 98.7 kB
        ((1_200, 1_500), ["500 B", "1 kB", "2 kB"]),  # 0.4 to 4.5 kB
        ((1_200, 60_000), ["1 kB", "10 kB", "100 kB"]),
        ((1e3, 1e8), ["1 kB", "100 kB", "10 MB"]),  # every second of 1 kB to 100 MB
    ],
)
def test_ticks_are_few_and_round(
    overlaps: Any, stored: tuple[float, float], labels: list[str]
) -> None:
    figure = costs_figure(cost_table(RUNS.iloc[1:].assign(stored_bytes=stored)))
    assert overlaps(figure) == []
    texts = [text.get_text() for text in figure.axes[2].get_xticklabels()]
    assert texts == labels


def test_a_method_is_where_its_costs_are(overlaps: Any) -> None:
    figure = costs_figure(cost_table(RUNS))
    time, _, stored = figure.axes
    (line,) = time.containers[1].get_children()[:1]
    assert line.get_xydata().tolist() == [[120.0, 60.0]]
    (line,) = stored.containers[1].get_children()[:1]
    assert line.get_xydata().tolist() == [[1500.0, 60.0]]
    (bar,) = stored.containers[1].get_children()[-1].get_segments()
    assert bar[:, 1].tolist() == pytest.approx([60 - 127.062, 60 + 127.062])
    assert time.get_ylim() == (0, 100)
    title = figure.legends[0].get_title().get_text()
    assert title == "Bars: 95 % intervals of the mean over the runs (Student's t)."
    assert overlaps(figure) == []
    single = costs_figure(cost_table(RUNS.iloc[1:]))
    assert single.legends[0].get_title().get_text() == ""
    unknown = RUNS.assign(learning_seconds=None)
    figure = costs_figure(cost_table(unknown))
    assert [text.get_text() for text in figure.axes[0].texts] == ["not recorded"]
