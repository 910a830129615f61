import pandas as pd
import pytest

from daformer_kedro.evaluation.figures import comparison_figure


def make_curves(num_tasks, reach):
    tables = [
        pd.DataFrame(
            {
                "method": method,
                "num_runs": 3 if reach else 1,
                "task": range(num_tasks),
                "num_classes_seen": [2 * (task + 1) for task in range(num_tasks)],
                "accuracy": [
                    start - 0.2 * task / num_tasks for task in range(num_tasks)
                ],
            }
        )
        for method, start in (("DAFormer-S", 0.9), ("replay (S)", 0.7))
    ]
    curves = pd.concat(tables)
    mean, reach = curves["accuracy"], float("nan") if reach is None else reach
    return curves.assign(low=mean - reach, high=mean + 2 * reach)


PUBLISHED = pd.DataFrame(
    {
        "method": ["A", "B"],
        "memory": ["2000", "50"],
        "differs": ["", "memory of 50"],
        "last_accuracy": [61.0, 55.5],
        "average_incremental_accuracy": [70.0, None],
    }
)


def test_curves_bands_and_stars(overlaps):
    figure = comparison_figure(make_curves(10, 0.05), PUBLISHED)
    (axes,) = figure.axes
    # Of the first method: 5 points below 72 at the end, 10 above 90 at the start.
    (band, _) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(72 - 5)
    assert heights.max() == pytest.approx(90 + 10)
    assert figure.legends[0].get_title().get_text() == (
        "Bands: 95 % intervals of the mean over the runs (Student's t).\n"
        "* other memory, tasks or network: see the table."
    )
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0].startswith("DAFormer-S, 3 runs: last 72.0, average 81.0")
    texts = [text.get_text() for text in axes.texts]
    assert "61.0  A (70.0)" in texts
    assert "55.5  B *" in texts
    assert overlaps(figure) == []


def test_single_runs_have_no_band(overlaps):
    figure = comparison_figure(make_curves(2, None), PUBLISHED.iloc[:0])
    assert not figure.axes[0].collections
    assert "DAFormer-S, 1 run:" in figure.legends[0].get_texts()[0].get_text()
    assert overlaps(figure) == []


def test_fifty_tasks(overlaps):
    assert overlaps(comparison_figure(make_curves(50, 0.02), PUBLISHED)) == []
