"""What a command asks to be run."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from daformer_kedro.errors import InputError
from daformer_kedro.framework.selection import check_runner, check_selection
from daformer_kedro.reuse.runner import CachingSequentialRunner


def same(value: int) -> int:
    return value


TASK = Pipeline(
    [
        node(same, "images", "checkpoint", name="train_task", tags="training"),
        node(same, "checkpoint", "metrics", name="evaluate_task", tags="testing"),
    ],
    namespace="task_00",
    inputs="images",
)
PIPELINES = {"task_00": TASK, "other": Pipeline([]), "__default__": TASK}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pipeline_names": ["task_00"], "tags": ("training", "testing")},
        {"node_names": ["task_00.train_task"]},
        {"from_nodes": ["task_00.train_task"], "to_outputs": ["task_00.metrics"]},
        {"from_inputs": ["images"], "namespaces": ["task_00"]},
        {"tags": (), "load_versions": {}},
    ],
)
def test_names_that_exist_pass(options: dict[str, Any]) -> None:
    check_selection(PIPELINES, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pipeline_names": ["task_01"]},
            "--pipelines task_01: does not exist. Did you mean task_00? "
            "Allowed: __default__, other, task_00",
        ),
        (
            {"tags": ("trainin",)},
            "--tags trainin: does not exist. Did you mean training? "
            "Allowed: testing, training",
        ),
        (
            {"node_names": ["train_task"]},
            "--nodes train_task: does not exist. Did you mean "
            "task_00.train_task? Allowed: task_00.evaluate_task, task_00.train_task",
        ),
        ({"from_nodes": ["task_00.evaluate_task", "x"]}, "--from-nodes x: does not"),
        ({"to_nodes": ["x"]}, "--to-nodes x: does not exist. Allowed:"),
        ({"from_inputs": ["image"]}, "--from-inputs image: .* Did you mean images?"),
        ({"to_outputs": ["metrics"]}, "--to-outputs metrics: .* task_00.metrics"),
        ({"namespaces": ["task_7"]}, "--namespaces task_7: .* Allowed: task_00"),
        (
            {"tags": ["training"], "node_names": ["task_00.evaluate_task"]},
            "--tags training --nodes task_00.evaluate_task: no step fits all of this",
        ),
        ({"load_versions": {"metrics": "1"}}, "--load-versions metrics: no dataset"),
    ],
)
def test_others_are_named_with_what_there_is(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match="^" + message.replace("?", r"\?")):
        check_selection(PIPELINES, options)


def test_steps_run_one_after_another() -> None:
    for runner in (None, SequentialRunner(), CachingSequentialRunner()):
        check_runner(runner)
    for other in (ThreadRunner(), ParallelRunner(), "ThredRunner"):
        name = other if isinstance(other, str) else type(other).__name__
        with pytest.raises(InputError, match=f"^--runner {name}: allowed: Sequential"):
            check_runner(other)


def test_a_session_refuses_before_anything_runs(project: Any) -> None:
    for options in ({"runner": ThreadRunner()}, {"tags": ["trainin"]}):
        with pytest.raises(InputError, match=r"--runner|--tags"):
            project.run(**options)
    assert not project.files()
