import json
import math

import continuum.metrics
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.metrics import (
    accuracy,
    average_incremental_accuracy,
    backward_transfer,
    balanced_accuracy,
    class_accuracies,
    evaluate_predictions,
    forgetting,
    forgetting_per_task,
    summarise,
    task_accuracies,
    top_k_accuracy,
)

# By definition f_0 = max(0.9, 0.5, 0.6) - 0.4, f_1 = max(0.8, 0.7) - 0.5 and
# f_2 = 0.6 - 0.7.
MATRIX = [
    [0.9, None, None, None],
    [0.5, 0.8, None, None],
    [0.6, 0.7, 0.6, None],
    [0.4, 0.5, 0.7, 1.0],
]


def make_predictions(task, target, *ranks):
    frame = pd.DataFrame(
        {
            "sample_index": range(len(target)),
            "task": task,
            "target": target,
            "predicted": ranks[0],
        }
    )
    for rank in range(5):
        given = ranks[rank] if rank < len(ranks) else [-1] * len(target)
        frame[f"top_{rank + 1}"] = np.array(given, dtype=np.int16)
    return frame


@pytest.fixture
def predictions():
    """Six images of two tasks of two classes: 3 of 4 and 1 of 2 are right."""
    return make_predictions(
        [0, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 2, 3],
        [0, 0, 1, 2, 2, 1],
        [1, 1, 0, 1, 0, 0],
        [2, 2, 2, 0, 1, 3],
    )


def make_runs(matrix, num_images=20):
    """Continuum's arguments for an accuracy matrix: one class a task."""
    runs = []
    for row, values in enumerate(matrix):
        tasks = np.repeat(np.arange(row + 1), num_images)
        wrong = [
            np.arange(num_images) >= round(value * num_images)
            for value in values[: row + 1]
        ]
        runs.append((np.where(np.concatenate(wrong), -1, tasks), tasks, tasks))
    return [list(column) for column in zip(*runs, strict=True)]


def test_accuracy_counts_images_equally(predictions):
    assert accuracy(predictions) == 4 / 6
    assert accuracy(predictions) == continuum.metrics.accuracy(
        predictions["predicted"].to_numpy(), predictions["target"].to_numpy()
    )


@pytest.mark.parametrize(
    ("k", "expected"), [(1, 4 / 6), (2, 5 / 6), (3, 1.0), (5, 1.0)]
)
def test_top_k_accuracy(predictions, k, expected):
    assert top_k_accuracy(predictions, k) == expected


@pytest.mark.parametrize("k", [0, 6])
def test_top_k_accuracy_refuses_other_k(predictions, k):
    with pytest.raises(InputError, match=f"k = {k}: must be within 1 and 5"):
        top_k_accuracy(predictions, k)


def test_task_accuracies_are_a_row_of_the_matrix(predictions):
    assert task_accuracies(predictions, 1) == [3 / 4, 1 / 2]


def test_task_without_test_images_has_no_accuracy(predictions):
    assert task_accuracies(predictions[predictions["task"] == 1], 1) == [None, 1 / 2]


def test_task_accuracies_refuse_images_of_a_later_task(predictions):
    with pytest.raises(InputError, match="images of task 1: after task 0"):
        task_accuracies(predictions, 0)


def test_a_missing_column_is_named(predictions):
    with pytest.raises(InputError, match=r"\['predicted'\] must be among them"):
        accuracy(predictions.drop(columns="predicted"))


def test_an_empty_table_is_refused(predictions):
    with pytest.raises(InputError, match="0 rows"):
        accuracy(predictions.iloc[:0])


def test_average_incremental_accuracy_includes_the_first_task():
    assert average_incremental_accuracy([0.9, 0.6, 0.3]) == pytest.approx(0.6)
    with pytest.raises(InputError, match="at least one task"):
        average_incremental_accuracy([])


def test_average_incremental_accuracy_is_continuums():
    predicted, target, tasks = make_runs(MATRIX)
    logger = continuum.metrics.Logger(list_subsets=["test"])
    for row in range(4):
        if row:
            logger.end_task()  # opens the next task, which must not stay empty
        logger.add([predicted[row], target[row], tasks[row]], subset="test")
    after_task = [
        continuum.metrics.accuracy(predicted[row], target[row]) for row in range(4)
    ]
    assert average_incremental_accuracy(after_task) == pytest.approx(
        logger.average_incremental_accuracy
    )


def test_forgetting_by_hand():
    assert forgetting_per_task(MATRIX) == pytest.approx([0.5, 0.3, -0.1])
    assert forgetting(MATRIX) == pytest.approx(0.7 / 3)


def test_backward_transfer_by_hand():
    # (0.4 - 0.9) + (0.5 - 0.8) + (0.7 - 0.6)
    assert backward_transfer(MATRIX) == pytest.approx(-0.7 / 3)


def test_ragged_rows_are_the_same_as_padded_ones():
    ragged = [[v for v in row if v is not None] for row in MATRIX]
    assert forgetting(ragged) == forgetting(MATRIX)
    assert backward_transfer(ragged) == backward_transfer(MATRIX)


def test_with_one_task_nothing_is_forgotten_or_transferred():
    assert forgetting_per_task([[0.9]]) == []
    assert forgetting([[0.9]]) is None
    assert backward_transfer([[0.9]]) is None


def test_tasks_without_test_images_are_left_out():
    matrix = [[0.9], [0.8, None], [0.6, None, 0.5]]
    assert forgetting_per_task(matrix) == [pytest.approx(0.3), None]
    assert forgetting(matrix) == pytest.approx(0.3)
    assert backward_transfer(matrix) == pytest.approx(-0.3)


@pytest.mark.parametrize("matrix", [[], [[0.9], [0.8]], [[0.9, None]]])
def test_a_matrix_that_is_not_lower_triangular_is_refused(matrix):
    with pytest.raises(InputError, match="accuracy matrix has rows of"):
        forgetting(matrix)


def test_continuums_forgetting_leaves_out_the_last_but_one_task():
    # Accuracies only fall, so its shorter maximum changes nothing here.
    matrix = [[0.9], [0.8, 0.9], [0.7, 0.6, 0.8], [0.4, 0.5, 0.7, 1.0]]
    left_out = forgetting_per_task(matrix)[-1]
    assert left_out == pytest.approx(0.1)
    theirs = continuum.metrics.forgetting(*make_runs(matrix))
    assert 3 * forgetting(matrix) == pytest.approx(3 * theirs + left_out)


def test_continuums_backward_transfer_runs_over_every_row():
    theirs = continuum.metrics.backward_transfer(*make_runs(MATRIX))
    # Rows 2 and 3, without the pairs next to the diagonal, over 4 * 3 / 2 pairs.
    pairs = (0.6 - 0.9) + (0.4 - 0.9) + (0.5 - 0.8)
    assert theirs == pytest.approx(pairs / 6)
    in_last_row = pairs - (0.6 - 0.9)
    next_to_diagonal = 0.7 - 0.6
    assert 3 * backward_transfer(MATRIX) == pytest.approx(
        in_last_row + next_to_diagonal
    )


def test_evaluate_predictions(predictions):
    assert evaluate_predictions(predictions, 1, 4) == {
        "task": 1,
        "num_classes_seen": 4,
        "task_accuracies": [3 / 4, 1 / 2],
        "class_accuracies": [1.0, 0.5, 1.0, 0.0],
        "accuracy": 4 / 6,
        "balanced_accuracy": 2.5 / 4,
        "top5_accuracy": None,
    }


def test_balanced_accuracy_is_that_of_scikit_learn(predictions):
    expected = balanced_accuracy_score(predictions["target"], predictions["predicted"])
    assert balanced_accuracy(predictions, 4) == pytest.approx(expected)
    assert class_accuracies(predictions, 5)[4] is None  # it has no test image


def test_top5_accuracy_needs_six_classes(predictions):
    assert evaluate_predictions(predictions, 1, 5)["top5_accuracy"] is None
    assert evaluate_predictions(predictions, 1, 6)["top5_accuracy"] == 1.0


def test_evaluate_predictions_refuses_a_class_not_seen(predictions):
    with pytest.raises(InputError, match="target 3: after task 1 only the 3 classes"):
        evaluate_predictions(predictions, 1, 3)


def test_summarise_pads_the_matrix_and_collects_lists():
    per_task = [
        {
            "task": task,
            "num_classes_seen": 4 * (task + 1),
            "task_accuracies": row[: task + 1],
            "class_accuracies": [acc / 2, None],
            "accuracy": acc,
            "balanced_accuracy": acc / 2,
            "top5_accuracy": top5,
            "num_parameters": 10 + task,
            "num_exemplars": 20,
            "neighbourhood_preservation": kept,
        }
        for task, row, acc, top5, kept in zip(
            range(4),
            MATRIX,
            [0.9, 0.65, 0.6, 0.65],
            [None, 0.9, 0.9, 0.8],
            [None, 0.7, 0.6, 0.5],
            strict=True,
        )
    ]
    metrics = summarise(per_task)
    assert metrics == {
        "accuracy_matrix": MATRIX,
        "accuracy_after_task": [0.9, 0.65, 0.6, 0.65],
        "balanced_accuracy_after_task": [0.45, 0.325, 0.3, 0.325],
        "class_accuracies": [0.325, None],
        "top5_accuracy_after_task": [None, 0.9, 0.9, 0.8],
        "average_incremental_accuracy": pytest.approx(0.7),
        "last_accuracy": 0.65,
        "last_balanced_accuracy": 0.325,
        "forgetting": pytest.approx(0.7 / 3),
        "backward_transfer": pytest.approx(-0.7 / 3),
        "num_classes_seen": [4, 8, 12, 16],
        "num_parameters": [10, 11, 12, 13],
        "num_exemplars": [20, 20, 20, 20],
        "neighbourhood_preservation": [None, 0.7, 0.6, 0.5],
    }


def test_summarise_gives_plain_numbers(per_task):
    entries = per_task(3, 2)
    entries[2] |= {"accuracy": np.float32(0.5), "num_parameters": np.int64(7)}
    metrics = summarise(entries)
    assert type(metrics["last_accuracy"]) is float
    assert type(metrics["num_parameters"][2]) is int
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_summarise_of_one_task(per_task):
    metrics = summarise(per_task(1, 10))
    assert metrics["accuracy_matrix"] == [[0.75]]
    assert metrics["average_incremental_accuracy"] == 0.75
    assert metrics["forgetting"] is None
    assert metrics["backward_transfer"] is None


@pytest.mark.parametrize("order", [[1, 0], [1], []])
def test_summarise_refuses_tasks_out_of_order(per_task, order):
    entries = per_task(2, 2)
    with pytest.raises(InputError, match=r"must be 0, 1, 2, … in order"):
        summarise([entries[task] for task in order])


def test_means_do_not_depend_on_the_order_of_addition():
    values = [0.1] * 10
    assert average_incremental_accuracy(values) == 0.1
    assert sum(values) / 10 != 0.1  # what plain addition would give
    assert math.isclose(sum(values) / 10, 0.1)
