import numpy as np
import pandas as pd
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import confusion_matrix_figure


def make_predictions(num_classes, num_images=4):
    """Every class is right but for one image in four, taken for the last class."""
    target = np.repeat(np.arange(num_classes), num_images)
    predicted = np.where(np.arange(len(target)) % 4, target, num_classes - 1)
    return pd.DataFrame({"target": target, "predicted": predicted})


def test_rows_are_percent_of_each_class():
    axes, bar = confusion_matrix_figure(
        make_predictions(3), [2, 1], ["cat", "dog", "emu"]
    ).axes
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn, [[75, 0, 25], [0, 75, 25], [0, 0, 100]])
    assert sorted(text.get_text() for text in axes.texts) == [
        "100",
        "25",
        "25",
        "75",
        "75",
    ]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "dog", "emu"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    assert bar.get_ylabel() == "Share of the class's images (%), square-root scale"


def test_a_class_without_images_is_blank():
    rows = make_predictions(3)
    axes = confusion_matrix_figure(
        rows[rows["target"] != 1], [3], ["a", "b", "c"]
    ).axes[0]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert np.isnan(drawn[1]).all()
    assert not np.isnan(drawn[[0, 2]]).any()


def test_borders_stand_between_tasks():
    names = [str(label) for label in range(9)]
    axes = confusion_matrix_figure(make_predictions(9), [4, 3, 2], names).axes[0]
    vertical = [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] > 1]
    horizontal = [line.get_ydata()[0] for line in axes.lines if line.get_ydata()[0] > 1]
    assert vertical == horizontal == [3.5, 6.5]


@pytest.mark.parametrize(
    ("task_sizes", "num_labels"),
    [([10], 10), ([5, 5], 10), ([10] * 10, 10), ([2] * 50, 10), ([50] + [5] * 10, 11)],
)
def test_many_classes_are_labelled_by_task(overlaps, task_sizes, num_labels):
    num_classes = sum(task_sizes)
    names = [f"class {label}" for label in range(num_classes)]
    figure = confusion_matrix_figure(make_predictions(num_classes), task_sizes, names)
    axes = figure.axes[0]
    assert len(axes.get_xticklabels()) == len(axes.get_yticklabels()) == num_labels
    assert len(axes.lines) == 2 * (len(task_sizes) - 1)
    if num_classes > 24:
        assert axes.get_xlabel() == "Predicted class, by task"
        assert axes.get_xticks()[0] == (task_sizes[0] - 1) / 2
        assert not axes.texts
        assert overlaps(figure) == []


def test_names_must_match_the_sizes():
    with pytest.raises(InputError, match="class_names has 2 names: must be 3"):
        confusion_matrix_figure(make_predictions(3), [2, 1], ["a", "b"])


def test_a_class_that_no_task_brought_is_refused():
    with pytest.raises(InputError, match="target from 0 to 3: must be within 0 and 2"):
        confusion_matrix_figure(make_predictions(4), [2, 1], ["a", "b", "c"])
