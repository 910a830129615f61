"""Labels of methods: what is told apart, and by what."""

from __future__ import annotations

import pandas as pd

from daformer_kedro.evaluation.repeats import repeats_by_method


def run(**values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "protocol": "digits",
        "edition": "S",
        "baseline": "none",
        "schedule": "published",
        "settings_key": "aaaa",
        "run_key": str(values),
        "start_time": 0,
        "num_classes_seen": [2, 4],
        "settings": {},
    }
    return row | values


def table(*runs: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(runs))


def test_editions_and_baselines_have_names_of_their_own() -> None:
    runs = table(
        run(edition="M", settings_key="m"),
        run(baseline="replay", settings_key="r"),
        run(baseline="dytox", settings_key="d"),
        run(baseline="dytox_plus", settings_key="p"),
        run(baseline="dytox_plusplus", settings_key="q"),
        run(settings_key="t", settings={"model.decoder": "task_attention"}),
        run(settings_key="v", settings={"source.validation_fraction": "0.2"}),
    )
    assert set(repeats_by_method(runs)) == {
        "DAFormer-M",
        "replay (S)",
        "DyTox (ours)",
        "DyTox+ (ours)",
        "DyTox++ (ours)",
        "DyTox's decoder with DAFormer's recipe",
        "DAFormer-S, on validation images",
    }


def test_groups_that_cannot_be_told_apart_keep_their_keys() -> None:
    runs = table(run(settings_key="a", settings={}), run(settings_key="b", settings={}))
    assert set(repeats_by_method(runs)) == {"DAFormer-S (a)", "DAFormer-S (b)"}
