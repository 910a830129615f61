"""Measures of a day by hand, tests that are made, and their correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daformer_kedro.config import MonitorConfig
from daformer_kedro.evaluation.monitoring.day_tests import adjust, reasons, run_tests
from daformer_kedro.evaluation.monitoring.days import classes_by_day, measure_days
from daformer_kedro.evaluation.monitoring.observations import Baseline, Observations


def seen(predicted: list[int], targets: list[int] | None = None) -> Observations:
    num = len(predicted)
    return Observations(
        np.array(predicted),
        np.linspace(0.5, 1, num),
        np.arange(num) / num,
        targets=None if targets is None else np.array(targets),
    )


@pytest.fixture
def small() -> Baseline:
    """Of the reference's class 0 one in four counts as unknown, of class 1 all."""
    reference = Observations(
        np.array([0, 0, 0, 0, 1, 1]),
        np.ones(6),
        np.array([0.1, 0.2, 0.3, 0.9, 0.9, 0.9]),
        targets=np.array([0, 0, 1, 0, 1, 0]),
    )
    return Baseline(reference, 0.5, 2, np.array([30, 10]))


def test_a_day_is_measured(small: Baseline) -> None:
    # Scores are 0, 0.25, 0.5 and 0.75: one is above the threshold.
    days = {"2026-11-24": seen([0, 0, 0, 1], [0, 1, -1, 1])}
    table = measure_days(days, small, MonitorConfig(), np.random.default_rng(0))
    row = table.iloc[0]
    assert row["num_images"] == 4
    assert row["share_unknown"] == 0.25
    assert row["expected_unknown"] == pytest.approx((3 * 0.25 + 1) / 4)
    assert row["confidence_mean"] == pytest.approx(0.75)
    assert row["confidence_q50"] == pytest.approx(0.75)
    assert row["confidence_q10"] == pytest.approx(0.55)
    assert row["training_mix_distance"] == pytest.approx(0)  # both are 3 to 1
    assert row["num_labelled"] == 3
    assert row["accuracy"] == pytest.approx(2 / 3)
    # Three of four of class 0 were right in the reference, one of two of class 1.
    assert row["expected_accuracy"] == pytest.approx((0.75 + 2 * 0.5) / 3)
    assert not row["tested"]  # fewer than 20 images
    assert not row["differs"]


def test_accuracy_on_each_class_by_day(small: Baseline) -> None:
    days = {"a": seen([0, 0, 1], [0, 1, 1]), "b": seen([1])}
    table = classes_by_day(days, small, ["cat", "dog"]).set_index(["day", "class"])
    assert table.loc[("a", "dog"), "accuracy"] == 0.5
    assert table.loc[("a", "dog"), "num_labelled"] == 2
    assert table.loc[("a", "cat"), "share_predicted"] == pytest.approx(2 / 3)
    assert table.loc[("a", "cat"), "training_share"] == 0.75
    assert table.loc[("a", "cat"), "reference_share"] == pytest.approx(4 / 6)
    assert table.loc[("a", "cat"), "reference_accuracy"] == 0.75
    assert np.isnan(table.loc[("b", "dog"), "accuracy"])
    assert table.loc[("b", "dog"), "num_labelled"] == 0


def test_days_are_adjusted_by_simes_then_benjamini_and_hochberg() -> None:
    values = np.array([[0.01, np.nan], [0.04, 0.03], [np.nan, np.nan]])
    # Within the second day: times 2 over the rank, and none above a later one. Of two
    # days, the first alone needs twice its p-value, both need that of the second.
    expected = np.array([[0.02, np.nan], [0.04, 0.04], [np.nan, np.nan]])
    assert adjust(values) == pytest.approx(expected, nan_ok=True)
    # 0.005 twice within the day, and 0.2 once. At level 0.02 the first day is chosen
    # alone; its other test needs 0.2 of two, or of both days at once.
    values = np.array([[0.005, 0.2], [0.9, 0.8]])
    assert adjust(values) == pytest.approx(np.array([[0.02, 0.4], [0.9, 0.9]]))
    assert np.isnan(adjust(np.full((2, 2), np.nan))).all()


def test_one_test_of_a_day_is_adjusted_as_scipy_does() -> None:
    from scipy.stats import false_discovery_control

    values = np.random.default_rng(0).random(50) ** 3
    assert adjust(values[:, None])[:, 0] == pytest.approx(
        false_discovery_control(values)
    )
    assert adjust(values[None])[0] == pytest.approx(false_discovery_control(values))


def test_the_share_of_days_named_wrongly_is_at_most_the_level() -> None:
    """Ten days of twenty have changed so much that each of three tests finds them."""
    generator, level = np.random.default_rng(0), 0.1
    shares = []
    for _ in range(1500):
        values = generator.random((20, 3))
        values[:10] = 1e-9
        differs = (adjust(values) <= level).any(axis=1)
        assert differs[:10].all()
        shares.append(differs[10:].sum() / differs.sum())
    # By the theorem it is the level times the share of quiet days, one half.
    assert np.mean(shares) == pytest.approx(level / 2, rel=0.15)


def test_a_test_is_made_where_it_can_be(draw: Any, baseline: Baseline) -> None:
    generator = np.random.default_rng(0)
    whole = draw([0, 1, 2] * 10, generator)
    bare = Observations(whole.predicted, whole.confidences, whole.unknown_scores)
    config = MonitorConfig(tests=("unknown", "embeddings", "class_mix", "accuracy"))
    table = run_tests(
        [whole, bare, whole.select(np.arange(19))], baseline, config, generator
    )
    made = table[[f"p_{t}" for t in config.tests]].notna()
    assert made.to_numpy().tolist() == [
        [True] * 4,
        [True, False, True, False],
        [False] * 4,
    ]
    assert table["tested"].tolist() == [True, True, False]
    some = run_tests([whole], baseline, MonitorConfig(tests=("accuracy",)), generator)
    assert some["p_unknown"].isna().all()


def test_a_day_with_a_new_class_differs_among_quiet_ones(
    draw: Any, baseline: Baseline
) -> None:
    generator = np.random.default_rng(0)
    days = [draw([0, 1, 2] * 12, generator) for _ in range(6)]
    days[4] = draw([0, 1, 2] * 9 + [3] * 9, generator)
    table = run_tests(days, baseline, MonitorConfig(), generator)
    assert table["differs"].tolist() == [False] * 4 + [True, False]
    assert reasons(table.iloc[4], 0.01) == ["unknown", "embeddings"]


def test_so_many_tests_that_none_can_find_a_day_are_said(
    caplog: pytest.LogCaptureFixture, draw: Any, baseline: Baseline
) -> None:
    day = draw([0, 1, 2], np.random.default_rng(0))
    config = MonitorConfig(level=1e-6, least_images=1)
    run_tests([day], baseline, config, np.random.default_rng(0))
    assert "test fewer days at a time (monitor.since)" in caplog.text
