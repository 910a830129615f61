"""Labels of methods: what is told apart, and by what."""

from __future__ import annotations

import pandas as pd
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.repeats import repeats_by_method


def run(**values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "protocol": "digits",
        "edition": "S",
        "baseline": "none",
        "schedule": "published",
        "settings_key": "aaaa",
        "run_key": str(values),
        "class_order": "identity",
        "seed": "0",
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


def test_the_same_run_at_another_path_is_no_repeat() -> None:
    there = run(settings={"source.path": "there"}, test_images="cd", start_time=2)
    here = run(settings={"source.path": "here"}, test_images="cd", start_time=1)
    (group,) = repeats_by_method(table(there, here)).values()
    assert group["settings"].tolist() == [{"source.path": "there"}]
    unknown = run(settings={"source.path": "third"}, test_images=None, seed="1")
    (group,) = repeats_by_method(table(there, here, unknown)).values()
    assert len(group) == 2


def test_repeats_with_other_test_images_are_refused() -> None:
    cats = run(settings={"source.path": "cats"}, test_images="ca", seed="0")
    dogs = run(settings={"source.path": "dogs"}, test_images="d0", seed="1")
    message = (
        r"^comparison.filter matches runs of DAFormer-S with the same settings and "
        r"other test images, by their digests: ca \(source.path = cats\), d0 \(source."
        r"path = dogs\).*choose one.*comparison.filter=\"dataset.digest = 'ca'\"$"
    )
    with pytest.raises(InputError, match=message):
        repeats_by_method(table(cats, dogs))
    grown = run(run_key=cats["run_key"], test_images="d0", start_time=1)
    assert len(repeats_by_method(table(cats, dogs, grown))) == 1  # made again since
