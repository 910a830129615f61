import pandas as pd

from daformer_kedro.evaluation.figures import comparison_figure


def make_curves(num_tasks, deviation):
    tables = [
        pd.DataFrame(
            {
                "method": method,
                "num_runs": 3 if deviation else 1,
                "task": range(num_tasks),
                "num_classes_seen": [2 * (task + 1) for task in range(num_tasks)],
                "accuracy": [
                    start - 0.2 * task / num_tasks for task in range(num_tasks)
                ],
                "deviation": deviation,
            }
        )
        for method, start in (("DAFormer-S", 0.9), ("replay (S)", 0.7))
    ]
    return pd.concat(tables)


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
    # The first task of the first method: 90 ± 5 %.
    (band, _) = axes.collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), 95.0
    assert band.get_paths()[0].vertices[:, 1].max() == high
    assert abs(low - (72 - 5)) < 1e-9
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
