import pytest

from daformer_kedro.evaluation.figures import forgetting_figure

MATRIX = [[0.9], [0.5, 0.8], [0.4, 0.9, 1.0]]


def test_bars_are_points_lost_and_the_line_is_their_mean():
    (axes,) = forgetting_figure(MATRIX).axes
    # 0.9 - 0.4 and 0.8 - 0.9
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([50, -10])
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata() == pytest.approx([20, 20])
    assert axes.get_legend().get_texts()[0].get_text() == "mean 20.0 points"
    assert axes.get_ylabel() == "Best earlier accuracy − last (points)"


@pytest.mark.parametrize("num_tasks", [2, 10, 50])
def test_one_bar_for_each_task_but_the_last(falling_matrix, overlaps, num_tasks):
    figure = forgetting_figure(falling_matrix(num_tasks))
    assert len(figure.axes[0].patches) == num_tasks - 1
    assert overlaps(figure) == []


def test_one_task_is_explained_in_words(overlaps):
    figure = forgetting_figure([[0.9]])
    (axes,) = figure.axes
    assert not axes.patches
    assert axes.texts[0].get_text() == "One task: there is nothing to forget yet"
    assert overlaps(figure) == []


def test_a_task_without_test_images_has_no_bar_height():
    (axes,) = forgetting_figure([[0.9], [0.8, None], [0.6, None, 0.5]]).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([30, 0])
