import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import accuracy_matrix_figure


def test_cells_hold_percent_and_blanks():
    figure = accuracy_matrix_figure([[0.9, None], [0.25, 1.0]], ["a", "b"])
    axes, bar = figure.axes
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn, [[90, np.nan], [25, 100]])
    assert axes.images[0].get_clim() == (0, 100)
    assert sorted(text.get_text() for text in axes.texts) == ["100", "25", "90"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]
    assert axes.get_xlabel() == "Classes of task"
    assert axes.get_ylabel() == "After task"
    assert bar.get_ylabel() == "Accuracy (%)"


def test_rows_may_end_at_the_diagonal(falling_matrix):
    axes = accuracy_matrix_figure(falling_matrix(3), ["0", "1", "2"]).axes[0]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert np.isnan(drawn[np.triu_indices(3, 1)]).all()
    assert not np.isnan(drawn[np.tril_indices(3)]).any()


@pytest.mark.parametrize(
    ("num_tasks", "num_values"), [(1, 1), (12, 78), (13, 0), (50, 0)]
)
def test_values_are_written_up_to_twelve_tasks(falling_matrix, num_tasks, num_values):
    names = [str(task) for task in range(num_tasks)]
    axes = accuracy_matrix_figure(falling_matrix(num_tasks), names).axes[0]
    assert len(axes.texts) == num_values


@pytest.mark.parametrize("num_tasks", [1, 2, 10, 50])
@pytest.mark.parametrize("name", ["{}", "task_{:02d}"])
def test_no_labels_overlap(falling_matrix, overlaps, num_tasks, name):
    names = [name.format(task) for task in range(num_tasks)]
    figure = accuracy_matrix_figure(falling_matrix(num_tasks), names)
    # Boxes of slanted labels cross though their text does not.
    slanted = name != "{}" and num_tasks > 2
    found = [pair for pair in overlaps(figure) if "task_" not in "".join(pair)]
    assert (found if slanted else overlaps(figure)) == []


def test_names_must_match(falling_matrix):
    with pytest.raises(InputError, match="task_names has 1 names: must be 2"):
        accuracy_matrix_figure(falling_matrix(2), ["a"])
