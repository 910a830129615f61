import pandas as pd

from daformer_kedro.evaluation.figures import study_figure


def test_trials_and_the_best_so_far(overlaps):
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "pruned", "complete", "complete"],
            "value": [0.5, None, 0.4, 0.7],
        }
    )
    figure = study_figure(trials, "average_incremental_accuracy")
    (axes,) = figure.axes
    complete, best, others = axes.get_lines()
    assert complete.get_xydata().tolist() == [[0, 50], [2, 40], [3, 70]]
    assert best.get_ydata().tolist() == [50, 50, 70]
    assert others.get_xdata().tolist() == [1]
    assert axes.get_title(loc="left") == "Average incremental accuracy of trials"
    assert overlaps(figure) == []


def test_with_processor_time_the_front_is_drawn(overlaps):
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "complete", "complete", "fail"],
            "value": [0.5, 0.7, 0.4, None],
            "processor_seconds": [10.0, 20.0, 15.0, None],
            "on_front": [True, True, False, False],
        }
    )
    figure = study_figure(trials, "balanced_accuracy")
    _, over_time = figure.axes
    values, front = over_time.get_lines()
    assert values.get_xydata().tolist() == [[10, 50], [20, 70], [15, 40]]
    assert front.get_xydata().tolist() == [[10, 50], [20, 70]]
    assert over_time.get_xlabel() == "Processor time (s)"
    assert overlaps(figure) == []
