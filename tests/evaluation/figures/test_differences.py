import pandas as pd

from daformer_kedro.evaluation.figures import differences_figure


def make_rows(num_pairs=3):
    return pd.DataFrame(
        [
            {
                "method": "DAFormer-S",
                "other": other,
                "measure": measure,
                "num_pairs": num_pairs,
                "difference": 3.0,
                "low": 1.0,
                "high": 5.0,
                "t_low": -1.0,
                "t_high": 7.0,
            }
            for other in ("replay (S)", "finetune (S, training.epochs=20)")
            for measure in ("average_incremental_accuracy", "last_accuracy")
        ]
    )


def test_intervals_are_drawn_where_they_are(overlaps):
    figure = differences_figure(make_rows())
    first, _ = figure.axes
    student, bootstrap = (c.get_segments()[1] for c in first.collections)
    assert student.tolist() == [[-1.0, 1.0], [7.0, 1.0]]
    assert bootstrap.tolist() == [[1.0, 1.0], [5.0, 1.0]]
    labels = [text.get_text() for text in first.get_yticklabels()]
    assert labels[0] == "DAFormer-S − replay (S)\n3 pairs"
    assert overlaps(figure) == []


def test_nothing_to_pair_is_said(overlaps):
    figure = differences_figure(make_rows(num_pairs=0))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no two runs to pair"]
    assert differences_figure(make_rows().iloc[:0]).axes
    assert overlaps(figure) == []
