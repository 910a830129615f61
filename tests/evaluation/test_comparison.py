"""Averages by hand, and what must not be averaged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.comparison import (
    as_compared,
    compare,
    mean_curves,
)
from daformer_kedro.evaluation.comparison_tables import to_latex, to_markdown


def run(last: float = 0.8, **values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "protocol": "cifar100_10-10",
        "edition": "S",
        "baseline": "none",
        "schedule": "published",
        "settings_key": "aaaa",
        "run_key": f"run_{last}",
        "class_order": "1",
        "seed": values.get("run_key", last),
        "start_time": 0,
        "memory": "2000",
        "average_incremental_accuracy": (1.0 + last) / 2,
        "last_accuracy": last,
        "forgetting": 0.25,
        "backward_transfer": None,
        "accuracy_after_task": [1.0, last],
        "num_classes_seen": [10, 20],
        "settings": {"seed": "0", "training.epochs": "5"},
    }
    return row | values


def table(*runs: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(runs))


def own(compared: pd.DataFrame) -> pd.DataFrame:
    return compared[compared["num_runs"].notna()]


def test_repeats_are_averaged_and_counted() -> None:
    (row,) = own(compare(table(run(0.5), run(0.6), run(0.7)))).to_dict("records")
    assert row["method"] == "DAFormer-S"
    assert row["num_runs"] == 3
    assert row["last_accuracy"] == pytest.approx(60)
    assert row["last_accuracy_deviation"] == pytest.approx(10)
    assert row["average_incremental_accuracy"] == pytest.approx(80)
    assert row["forgetting_deviation"] == pytest.approx(0)


def test_a_single_run_has_no_deviation() -> None:
    compared = own(compare(table(run())))
    assert compared["num_runs"].tolist() == [1]
    assert compared["last_accuracy_deviation"].isna().all()


def test_the_same_run_made_twice_counts_once_and_the_later_one() -> None:
    twice = table(run(0.5, run_key="a", start_time=2), run(0.1, run_key="a"))
    compared = own(compare(twice))
    assert compared["num_runs"].tolist() == [1]
    assert compared["last_accuracy"].tolist() == [50]


def test_other_settings_are_another_method_named_by_what_differs() -> None:
    long = {"seed": "0", "training.epochs": "9"}
    runs = table(run(0.5), run(0.9, settings_key="bbbb", settings=long))
    compared = own(compare(runs))
    assert compared["method"].tolist() == [
        "DAFormer-S (training.epochs=9)",
        "DAFormer-S (training.epochs=5)",
    ]
    assert compared["num_runs"].tolist() == [1, 1]


def test_a_short_schedule_is_never_taken_for_the_published_one() -> None:
    alone = compare(table(run(schedule="short", protocol="digits")))
    assert alone["method"].tolist() == ["DAFormer-S, short schedule"]
    settings = {"training.schedule": "short", "training.epochs": "9"}
    runs = table(
        run(0.5),
        run(0.6, schedule="short", settings_key="s", settings=settings),
        run(0.7, baseline="replay", schedule="short", settings_key="r"),
        run(0.8, baseline="dytox", schedule="short", settings_key="d"),
    )
    compared = own(compare(runs))
    assert compared["method"].tolist() == [
        "DyTox (ours), short schedule",
        "replay (S), short schedule",
        "DAFormer-S, short schedule",
        "DAFormer-S",
    ]
    assert set(mean_curves(runs)["method"]) == set(compared["method"])


def test_protocols_are_never_mixed() -> None:
    runs = table(run(), run(protocol="digits"), run(protocol="digits"))
    with pytest.raises(InputError, match=r"10-10 \(1 runs\), digits \(2 runs\)"):
        compare(runs)
    with pytest.raises(InputError, match="2 protocols"):
        mean_curves(runs)


def test_other_tasks_are_never_mixed() -> None:
    runs = table(run(), run(settings_key="bbbb", num_classes_seen=[50, 100]))
    with pytest.raises(InputError, match=r"\[10, 20\].*aaaa.*\[50, 100\].*bbbb"):
        compare(runs)


def test_no_runs_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        compare(table(run()).iloc[:0])


def test_published_results_stand_below_and_say_what_differs() -> None:
    compared = compare(table(run(memory="100")))
    published = compared[compared["num_runs"].isna()]
    (icarl,) = published[published["method"] == "iCaRL"].to_dict("records")
    assert icarl["last_accuracy"] == 50.74
    assert icarl["average_incremental_accuracy"] == 65.27
    assert icarl["differs"] == "memory of 2000; ResNet-18"
    assert compared["num_runs"].isna().tolist() == [False] + [True] * len(published)


def test_the_same_memory_and_tasks_are_not_marked() -> None:
    compared = compare(table(run()))
    (icarl,) = compared[compared["method"] == "iCaRL"].to_dict("records")
    assert icarl["differs"] == "ResNet-18"


def test_tasks_that_the_protocol_does_not_name_are_marked() -> None:
    compared = compare(table(run(num_classes_seen=[50, 60])))
    (icarl,) = compared[compared["method"] == "iCaRL"].to_dict("records")
    assert icarl["differs"].startswith("tasks of 10-10; ")


def test_a_protocol_without_published_results_has_our_rows_alone() -> None:
    assert len(compare(table(run(protocol="digits")))) == 1


def test_curves_are_means_after_each_task() -> None:
    curves = mean_curves(table(run(0.5), run(0.7)))
    assert curves["num_classes_seen"].tolist() == [10, 20]
    assert curves["accuracy"].tolist() == pytest.approx([1.0, 0.6])
    assert curves["deviation"].tolist() == pytest.approx([0.0, 0.02**0.5])
    # t quantile with one degree of freedom: 12.7062; standard error 0.1.
    assert curves["low"].tolist() == pytest.approx([1.0, 0.6 - 1.27062])
    assert curves["high"].tolist() == pytest.approx([1.0, 0.6 + 1.27062])
    assert set(curves["num_runs"]) == {2}


def test_a_single_run_has_no_interval() -> None:
    curves = mean_curves(table(run()))
    assert curves[["deviation", "low", "high"]].isna().all(axis=None)


def test_markdown() -> None:
    text = to_markdown(
        compare(table(run(0.5, protocol="digits"), run(0.7, protocol="digits")))
    )
    assert text.splitlines()[0].startswith("| Method | Average incremental | Last |")
    assert text.splitlines()[2] == (
        "| DAFormer-S | 80.00 ± 7.07 | 60.00 ± 14.14 | 25.00 ± 0.00 | – | 2 | 2000 | – "
        "| this project |"
    )


@pytest.mark.parametrize("protocol", ["cifar100_10-10", "digits"])
def test_a_table_that_was_stored_reads_as_before(tmp_path: Path, protocol: str) -> None:
    compared = compare(table(run(protocol=protocol)))
    compared.to_csv(tmp_path / "table.csv", index=False)
    stored = as_compared(pd.read_csv(tmp_path / "table.csv"))
    assert stored["num_runs"].isna().any() == (protocol != "digits")  # published
    assert to_markdown(stored) == to_markdown(compared)


def test_latex_is_escaped() -> None:
    compared = compare(table(run(0.5, protocol="digits", memory="5 per class & 1_2")))
    lines = to_latex(compared).splitlines()
    assert lines[1] == r"\begin{tabular}{lrrrrrll}"
    assert lines[5] == (
        r"DAFormer-S & 75.00 & 50.00 & 25.00 & -- & 1 & 5 per class \& 1\_2 & -- \\"
    )
    assert lines[-1] == r"\end{tabular}"
