import math

import pandas as pd

from daformer_kedro.evaluation.published import load_published, published_for


def test_every_result_names_its_source():
    table = load_published()
    assert len(table) == 90
    assert (table["source"] != "").all()
    assert set(table["benchmark"]) == {"cifar100", "imagenet100", "imagenet1000"}


def test_accuracies_are_percent_or_missing():
    numbers = load_published().filter(regex="top[15]$")
    assert list(numbers.columns) == [
        "average_incremental_top1",
        "last_top1",
        "average_incremental_top5",
        "last_top5",
    ]
    assert all(pd.api.types.is_float_dtype(dtype) for dtype in numbers.dtypes)
    known = numbers.stack().dropna()
    assert known.between(20, 100).all()


def test_known_rows():
    table = load_published()
    icarl = table[(table["method"] == "iCaRL") & (table["protocol"] == "5-5")]
    assert icarl["average_incremental_top1"].tolist() == [61.20]
    assert icarl["last_top1"].tolist() == [43.75]
    assert icarl["memory"].tolist() == ["2000"]
    joint = published_for("imagenet1000", "100-100").iloc[0]
    assert joint["method"] == "Transformer joint"
    assert math.isnan(joint["average_incremental_top1"])
    assert joint["last_top5"] == 90.60


def test_published_for_one_protocol_best_first():
    rows = published_for("cifar100", "10-10")
    assert len(rows) == 23
    assert rows.index.tolist() == list(range(23))
    assert rows["last_top1"].tolist()[:3] == [76.12, 68.23, 65.4]
    assert rows["last_top1"].dropna().is_monotonic_decreasing
    assert rows["last_top1"].isna().tolist() == [False] * 22 + [True]


def test_results_of_pretrained_networks_stand_apart():
    scratch = published_for("cifar100", "10-10")
    assert set(scratch["pretraining"]) == {"none"}
    pretrained = published_for("cifar100", "10-10_pretrained")
    assert pretrained["last_top1"].tolist() == [92.2, 83.39, 75.5, 61.5]
    assert "none" not in set(pretrained["pretraining"])
    assert published_for("cifar100", "50-10_pretrained").empty


def test_no_row_for_a_protocol_without_published_results():
    rows = published_for("digits", "2-2")
    assert rows.empty
    assert "last_top1" in rows.columns
