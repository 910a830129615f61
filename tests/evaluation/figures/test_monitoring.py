from __future__ import annotations

import numpy as np
import pandas as pd

from daformer_kedro.evaluation.figures import monitoring_figure


def days(num: int, accuracy: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "day": [str(d.date()) for d in pd.date_range("2026-11-20", periods=num)],
            "share_unknown": 0.1,
            "expected_unknown": 0.05,
            "confidence_mean": 0.8,
            "confidence_q10": 0.6,
            "confidence_q90": 0.9,
            "training_mix_distance": 0.1,
            "reference_mix_distance": 0.2,
            "accuracy": accuracy,
            "expected_accuracy": 0.9,
            "differs": np.arange(num) == 2,
        }
    )


def test_days_in_panels_and_those_that_differ_shaded(overlaps):
    figure = monitoring_figure(days(5, accuracy=0.7))
    unknown, confidence, _, accuracy = figure.axes
    share, expected = unknown.get_lines()
    assert share.get_xydata().tolist() == [[x, 10] for x in range(5)]
    assert set(expected.get_ydata()) == {5}
    (bars,) = confidence.containers[0].lines[2]
    assert bars.get_segments()[0][:, 1].tolist() == [60, 90]
    assert accuracy.get_lines()[0].get_ydata()[0] == 70
    (shade,) = unknown.patches
    assert (shade.get_x(), shade.get_width()) == (1.5, 1)
    assert [t.get_text() for t in accuracy.get_xticklabels()][2] == "2026-11-22"
    assert overlaps(figure) == []


def test_many_days_without_labels(overlaps):
    figure = monitoring_figure(days(365, accuracy=np.nan), "week")
    assert len(figure.axes) == 3
    assert figure.axes[-1].get_xlabel() == "Week from (shaded: differs)"
    assert len(figure.axes[-1].get_xticks()) <= 12
    assert overlaps(figure) == []
