import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.tasks import Scenario, resolve_task_sizes, split_tasks


@pytest.mark.parametrize(
    ("num_classes", "initial_increment", "increment", "sizes"),
    [
        (10, None, 2, (2, 2, 2, 2, 2)),
        (10, 4, 3, (4, 3, 3)),
        (10, 4, 2, (4, 2, 2, 2)),
        (10, 10, 3, (10,)),
        (10, None, (5, 3, 2), (5, 3, 2)),
        (10, 5, (3, 2), (5, 3, 2)),
        (10, None, 10, (10,)),
    ],
)
def test_task_sizes(
    num_classes: int,
    initial_increment: int | None,
    increment: int | tuple[int, ...],
    sizes: tuple[int, ...],
) -> None:
    assert resolve_task_sizes(num_classes, initial_increment, increment) == sizes


@pytest.mark.parametrize(
    ("initial_increment", "increment", "message"),
    [
        (
            None,
            3,
            "^scenario.increment = 3 does not divide 10 classes into whole tasks; it "
            "must be one of 1, 2, 5, 10$",
        ),
        (
            4,
            4,
            "^scenario.increment = 4 with scenario.initial_increment = 4 does not "
            "divide 10 .* for the other 6 classes it must be one of 1, 2, 3, 6$",
        ),
        (11, 1, "scenario.initial_increment must be at most 10$"),
        (None, (5, 4), r"scenario.increment = \[5, 4\] makes 9 classes; .* 10 classes"),
        (5, (5, 5), "scenario.initial_increment = 5 makes 15 classes"),
        (None, (11, -1), "a task needs at least 1 class"),
        (None, 0, "a task needs at least 1 class"),
        (None, (), "a task needs at least 1 class"),
    ],
)
def test_task_sizes_that_do_not_add_up(
    initial_increment: int | None, increment: int | tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        resolve_task_sizes(10, initial_increment, increment)


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(
        class_order=(3, 0, 4, 1, 2),
        task_sizes=(2, 1, 2),
        class_names=("d", "a", "e", "b", "c"),
    )


def test_classes_of_tasks(scenario: Scenario) -> None:
    assert scenario.num_tasks == 3
    assert scenario.num_classes == 5
    assert [scenario.num_seen(task) for task in range(3)] == [2, 3, 5]


@pytest.mark.parametrize("task", [-1, 3])
def test_tasks_that_do_not_exist(scenario: Scenario, task: int) -> None:
    message = f"task = {task}; tasks are 0..2"
    with pytest.raises(InputError, match=message):
        scenario.num_seen(task)


def test_scenario_survives_json(scenario: Scenario) -> None:
    content = scenario.to_json()
    assert content == {
        "class_order": [3, 0, 4, 1, 2],
        "task_sizes": [2, 1, 2],
        "class_names": ["d", "a", "e", "b", "c"],
    }
    assert Scenario.from_json(json.loads(json.dumps(content))) == scenario


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_order": [0, 1, 2, 3, 3]}, "is not a permutation of 0..4"),
        ({"task_sizes": [2, 2]}, r"task_sizes = \[2, 2\] must be"),
        ({"task_sizes": [5, 0]}, r"task_sizes = \[5, 0\] must be at least 1"),
        ({"class_names": ["a"]}, "class_order has 5 entries for the 1 classes"),
        ({"extra": 1}, "scenario has the keys .*'extra'"),
        ({"task_sizes": ["two"]}, "must be lists of integers"),
        ({"class_order": 5}, "must be lists of integers"),
    ],
)
def test_faulty_json_is_refused(
    scenario: Scenario, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Scenario.from_json(scenario.to_json() | changes)


def _images(train_labels: list[int], test_labels: list[int]) -> ImageArrays:
    # A view of one byte that would fill 10 GB per image if anything copied it.
    pixel = np.zeros((), np.uint8)
    return ImageArrays(
        train_images=np.broadcast_to(pixel, (len(train_labels), 60000, 60000, 3)),
        train_labels=np.array(train_labels),
        test_images=np.broadcast_to(pixel, (len(test_labels), 60000, 60000, 3)),
        test_labels=np.array(test_labels),
        class_names=("a", "b", "c", "d", "e"),
    )


def test_split_is_one_table_of_all_samples() -> None:
    images = _images([4, 0, 3, 1, 2, 3, 0], [2, 3, 4, 1, 0, 0])
    table = split_tasks(images, class_order=(3, 0, 4, 1, 2), task_sizes=(2, 1, 2))
    # label 0 -> target 1, 1 -> 3, 2 -> 4, 3 -> 0, 4 -> 2; tasks 0 0 1 2 2 by target
    expected = pd.DataFrame(
        {
            "split": pd.Categorical(
                ["train"] * 7 + ["test"] * 6, categories=["train", "test"]
            ),
            "sample_index": np.array([*range(7), *range(6)], np.int32),
            "label": np.array([4, 0, 3, 1, 2, 3, 0, 2, 3, 4, 1, 0, 0], np.int16),
            "target": np.array([2, 1, 0, 3, 4, 0, 1, 4, 0, 2, 3, 1, 1], np.int16),
            "task": np.array([1, 0, 0, 2, 2, 0, 0, 2, 0, 1, 2, 0, 0], np.int16),
        }
    )
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize("seed", range(3))
def test_split_is_continuums(seed: int) -> None:
    from continuum.datasets import InMemoryDataset
    from continuum.scenarios import ClassIncremental
    from continuum.tasks import TaskType

    generator = np.random.default_rng(seed)
    class_order = tuple(generator.permutation(5).tolist())
    task_sizes = ((2, 3), (1, 1, 3), (5,))[seed]
    labels = np.concatenate([np.arange(5), generator.integers(0, 5, 45)])
    table = split_tasks(_images(labels.tolist(), [*range(5)]), class_order, task_sizes)
    rows = np.arange(len(labels))
    scenario = ClassIncremental(
        InMemoryDataset(rows, labels, data_type=TaskType.TENSOR),
        increment=list(task_sizes),
        class_order=list(class_order),
    )
    train = table[table["split"] == "train"]
    assert len(scenario) == len(task_sizes)
    for task, taskset in enumerate(scenario):
        theirs, targets, _ = taskset.get_raw_samples()
        ours = train[train["task"] == task]
        assert dict(zip(ours["sample_index"], ours["target"], strict=True)) == dict(
            zip(theirs.tolist(), targets.tolist(), strict=True)
        )


@pytest.mark.parametrize(
    ("class_order", "task_sizes", "message"),
    [
        ((0, 1, 2, 3), (2, 2), "class_order has 4 entries for the 5 classes"),
        ((0, 1, 2, 3, 3), (5,), "is not a permutation of 0..4"),
        ((0, 1, 2, 3, 4), (2, 2), r"task_sizes = \[2, 2\] must"),
    ],
)
def test_split_that_does_not_fit(
    class_order: tuple[int, ...], task_sizes: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        split_tasks(_images([*range(5)], [*range(5)]), class_order, task_sizes)


def test_nothing_heavy_is_imported_beforehand() -> None:
    program = (
        "import sys\n"
        "import daformer_kedro.scenario.class_order\n"
        "import daformer_kedro.scenario.sources\n"
        "import daformer_kedro.scenario.tasks\n"
        "heavy = {'continuum', 'kedro', 'mlflow', 'pandas', 'pyarrow', 'sklearn',\n"
        "         'torch', 'torchvision'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"
