import numpy as np
import pandas as pd
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import incremental_accuracy_figure
from daformer_kedro.evaluation.published import published_for

PUBLISHED = pd.DataFrame(
    {
        "method": ["A", "B", "B", "C"],
        "memory": ["2000", "2000", "4000", "2000"],
        "average_incremental_top1": [70.0, np.nan, 66.0, 60.0],
        "last_top1": [55.25, 50.0, 52.0, np.nan],
    }
)


def curve(axes, label):
    (line,) = [line for line in axes.lines if line.get_label().startswith(label)]
    return line


def test_curves_are_percent_over_classes_seen():
    curves = {"ours": [0.9, 0.7, 0.5], "cut short": [0.8, 0.6]}
    figure = incremental_accuracy_figure(curves, [10, 20, 30])
    (axes,) = figure.axes
    ours = curve(axes, "ours")
    np.testing.assert_allclose(ours.get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(ours.get_ydata(), [90, 70, 50])
    np.testing.assert_allclose(curve(axes, "cut short").get_xdata(), [10, 20])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "ours: last 50.0, average 70.0",
        "cut short: last 60.0, average 70.0",
    ]
    assert ours.get_marker() != curve(axes, "cut short").get_marker()
    assert axes.get_xlabel() == "Classes seen"
    assert axes.get_ylabel() == "Accuracy on test images (%)"


def test_published_results_are_dashes_at_the_right_edge():
    (axes,) = incremental_accuracy_figure({"ours": [0.9]}, [10], PUBLISHED).axes
    dashes = [line for line in axes.lines if list(line.get_xdata()) == [1.0, 1.02]]
    assert [list(line.get_ydata()) for line in dashes] == [
        [55.25] * 2,
        [50.0] * 2,
        [52.0] * 2,
    ]
    assert {text.get_text() for text in axes.texts} == {
        "Published: last (average)",
        "55.2  A (70.0)",
        "50.0  B, 2000",
        "52.0  B, 4000 (66.0)",
    }


def test_joint_training_is_a_dash_of_its_own():
    (axes,) = incremental_accuracy_figure({"ours": [0.9]}, [10], joint=0.78).axes
    assert [text.get_text() for text in axes.texts] == ["78.0  our joint training"]


def test_labels_keep_the_order_of_the_accuracies():
    rows = published_for("cifar100", "10-10")
    (axes,) = incremental_accuracy_figure({"ours": [0.9]}, [10], rows).axes
    labels = [t for t in axes.texts if t.get_text()[0].isdigit()]
    by_height = sorted(labels, key=lambda text: -text.get_position()[1])
    values = [float(text.get_text().split()[0]) for text in by_height]
    assert len(values) == 22  # one gives no last accuracy
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("num_tasks", "protocol"), [(1, "10-10"), (2, ""), (10, "10-10"), (50, "2-2")]
)
@pytest.mark.parametrize("num_curves", [1, 6])
def test_no_labels_overlap(overlaps, num_tasks, protocol, num_curves):
    seen = [100 // num_tasks * (task + 1) for task in range(num_tasks)]
    values = np.linspace(0.95, 0.04, num_tasks).tolist()
    figure = incremental_accuracy_figure(
        {f"run {index}": values for index in range(num_curves)},
        seen,
        published_for("cifar100", protocol),
        joint=0.76,
    )
    assert overlaps(figure) == []


def test_the_axis_reaches_below_every_result():
    axes = incremental_accuracy_figure({"a": [0.9, 0.62]}, [2, 4], PUBLISHED).axes[0]
    assert axes.get_ylim() == (40, 100)
    axes = incremental_accuracy_figure({"a": [0.9, 0.01]}, [2, 4]).axes[0]
    assert axes.get_ylim() == (0, 100)


def test_a_tick_stands_at_the_last_task():
    seen = list(range(2, 101, 2))
    (axes,) = incremental_accuracy_figure({"a": [0.5] * 50}, seen).axes
    assert max(axes.get_xticks()) == 100
    assert len(axes.get_xticks()) == 10


@pytest.mark.parametrize("values", [[], [0.5, 0.4, 0.3]])
def test_a_curve_must_fit_the_axis(values):
    with pytest.raises(InputError, match=f"'a' has {len(values)} tasks: must have 1"):
        incremental_accuracy_figure({"a": values}, [2, 4])
