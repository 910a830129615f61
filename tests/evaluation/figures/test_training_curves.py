import numpy as np
import pandas as pd
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import figure_to_png, training_curves_figure


def make_history(num_tasks, epochs, finetuning_epochs):
    rows = []
    for task in range(num_tasks):
        phases = ["train"] * epochs + ["finetune"] * (finetuning_epochs if task else 0)
        for epoch, phase in enumerate(phases):
            rows.append(
                {
                    "task": task,
                    "phase": phase,
                    "epoch": epoch,
                    "learning_rate": 1e-4,
                    "loss": 3.0,
                    "loss_classification": 2.0,
                    "loss_knn_distillation": 1.0 if task else None,
                    "seconds": 1.0,
                    "images_per_second": 100.0,
                }
            )
    return pd.DataFrame(rows)


def lines(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}


def test_terms_are_lines_broken_between_phases():
    top, bottom = training_curves_figure(make_history(2, 2, 1)).axes
    drawn = lines(top)
    assert list(drawn) == ["total", "classification", "KNN distillation"]
    gap = np.nan
    np.testing.assert_array_equal(drawn["total"].get_xdata(), [1, 2, gap, 3, 4, gap, 5])
    np.testing.assert_array_equal(
        drawn["KNN distillation"].get_ydata(), [gap, gap, gap, 1, 1, gap, 1]
    )
    np.testing.assert_array_equal(
        lines(bottom)["learning rate"].get_ydata()[[0, 1, 3]], [1e-4] * 3
    )
    assert top.get_ylabel() == "Loss (mean of an epoch)"
    assert bottom.get_ylabel() == "Learning rate"
    assert bottom.get_xlabel() == "Epoch, through all tasks"


def test_single_epochs_can_be_seen():
    top, _ = training_curves_figure(make_history(2, 1, 1)).axes
    assert lines(top)["total"].get_marker() == "."


@pytest.mark.parametrize("num_tasks", [1, 2, 10, 50])
@pytest.mark.parametrize("finetuning_epochs", [0, 5])
def test_borders_shades_and_labels(overlaps, num_tasks, finetuning_epochs):
    history = make_history(num_tasks, 20, finetuning_epochs)
    figure = training_curves_figure(history)
    top, bottom = figure.axes
    borders = [line.get_xdata()[0] for line in top.lines if line.get_linestyle() == ":"]
    length = 20 + finetuning_epochs
    assert borders == [20.5 + length * task for task in range(num_tasks - 1)]
    shades = num_tasks - 1 if finetuning_epochs else 0
    assert len(top.patches) == len(bottom.patches) == shades
    # Task 0 has 20 epochs; task 1 has 20 more before its finetuning.
    extents = [(patch.get_x(), patch.get_width()) for patch in top.patches]
    assert extents == [(40.5 + length * task, 5) for task in range(shades)]
    legend = [text.get_text() for text in top.get_legend().get_texts()]
    assert legend.count("finetuning") == (1 if shades else 0)
    assert overlaps(figure) == []


def test_png_bytes_are_the_same_again():
    history = make_history(2, 3, 1)
    first = figure_to_png(training_curves_figure(history))
    assert figure_to_png(training_curves_figure(history)) == first


@pytest.mark.parametrize("column", ["loss", "phase"])
def test_a_missing_column_is_named(column):
    history = make_history(1, 1, 0).drop(columns=column)
    with pytest.raises(InputError, match="needs a row and"):
        training_curves_figure(history)


def test_an_empty_history_is_refused():
    with pytest.raises(InputError, match="history has 0 rows"):
        training_curves_figure(make_history(1, 1, 0).iloc[:0])
