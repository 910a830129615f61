import numpy as np
import pytest

from daformer_kedro.evaluation.figures import neighbourhood_preservation_figure


def test_line_starts_at_the_second_task():
    (axes,) = neighbourhood_preservation_figure([None, 0.5, 0.75]).axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    np.testing.assert_array_equal(line.get_ydata(), [50, 75])
    assert axes.get_ylim() == (0, 100)
    assert axes.get_ylabel() == "Nearest neighbours kept (%)"


@pytest.mark.parametrize("num_tasks", [1, 2, 10, 50])
def test_no_labels_overlap(overlaps, num_tasks):
    figure = neighbourhood_preservation_figure([None] + [0.5] * (num_tasks - 1))
    assert overlaps(figure) == []


def test_one_task_is_explained_in_words():
    (axes,) = neighbourhood_preservation_figure([None]).axes
    assert not axes.lines
    assert "no earlier model" in axes.texts[0].get_text()
    (axes,) = neighbourhood_preservation_figure([None] * 3).axes
    assert "Nothing is trained" in axes.texts[0].get_text()
