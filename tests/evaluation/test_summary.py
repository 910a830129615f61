import pandas as pd
import pytest

from daformer_kedro.evaluation.metrics import summarise
from daformer_kedro.evaluation.summary import format_summary, summary_table


def test_summary_table_has_one_row_a_task(per_task):
    table = summary_table(summarise(per_task(3, 4)))
    assert list(table.columns) == [
        "task",
        "num_classes_seen",
        "accuracy",
        "top5_accuracy",
        "num_exemplars",
        "num_parameters",
    ]
    assert table["task"].tolist() == [0, 1, 2]
    assert table["num_classes_seen"].tolist() == [4, 8, 12]
    assert table["accuracy"].tolist() == [0.75, 0.75 - 1 / 128, 0.75 - 2 / 128]
    assert pd.isna(table["top5_accuracy"][0])
    assert table["top5_accuracy"][1:].tolist() == [0.875, 0.875]


def test_format_summary_of_two_tasks(per_task):
    assert format_summary(summarise(per_task(2, 5))) == (
        "Accuracy on all classes seen (%)\n"
        "\n"
        "task  classes  accuracy    top-5\n"
        "   0        5     75.00        –\n"
        "   1       10     74.22    87.50\n"
        "\n"
        "Average incremental accuracy   74.61 %\n"
        "Last accuracy                  74.22 %\n"
        "Forgetting                     25.00 points\n"
        "Backward transfer             -25.00 points"
    )


def test_format_summary_of_one_task_has_no_forgetting(per_task):
    text = format_summary(summarise(per_task(1, 2)))
    assert "Forgetting" not in text
    assert "Backward transfer" not in text
    assert "top-5" not in text
    assert "Last accuracy                  75.00 %" in text


@pytest.mark.parametrize("num_tasks", [2, 11, 20, 50])
@pytest.mark.parametrize("increment", [2, 20])
def test_every_task_is_printed_once_within_80_columns(per_task, num_tasks, increment):
    lines = format_summary(summarise(per_task(num_tasks, increment))).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 33
    table = lines[3 : lines.index("", 3)]
    blocks = len(lines[2].split("task")) - 1
    cells = [line.split() for line in table]
    width = len(lines[2].split()) // blocks
    tasks = [int(row[i]) for row in cells for i in range(0, len(row), width)]
    assert sorted(tasks) == list(range(num_tasks))


def test_a_narrow_terminal_gets_one_block(per_task):
    lines = format_summary(summarise(per_task(50, 2)), width=43).splitlines()
    assert max(map(len, lines)) <= 43
    assert len(lines) == 3 + 50 + 5


def test_a_value_that_rounds_to_zero_has_no_sign(per_task):
    metrics = summarise(per_task(2, 5)) | {"backward_transfer": -1e-9}
    assert format_summary(metrics).splitlines()[-1].split()[2] == "0.00"


def test_validation_images_are_not_taken_for_test_images(per_task):
    metrics = summarise(per_task(2, 5))
    first = format_summary(metrics, on_validation=True).splitlines()[0]
    assert first == "Accuracy on all classes seen (%), validation images"


def test_balanced_accuracy_is_printed_where_classes_are_unequal(per_task):
    metrics = summarise(per_task(2, 5))
    assert "balanced" not in format_summary(metrics)
    text = format_summary(metrics | {"last_balanced_accuracy": 0.5})
    assert "Last balanced accuracy         50.00 %" in text
