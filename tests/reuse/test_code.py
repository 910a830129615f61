"""Fingerprints of code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from daformer_kedro.pipelines.evaluation.nodes import draw_confusion_node
from daformer_kedro.pipelines.ingestion.nodes import order_classes_node
from daformer_kedro.pipelines.task.evaluation_nodes import evaluate_task_node
from daformer_kedro.pipelines.task.nodes import train_task_node
from daformer_kedro.reuse.code import code_fingerprint, code_of, function_name

NODES = '''
"""A node."""
from toyproject.helpers import helper
def node():
    """Do it."""
    return helper()
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "toyproject"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "nodes.py").write_text(NODES)
    (folder / "helpers.py").write_text(
        "from .deep import deeper\ndef helper(): return deeper.VALUE\n"
    )
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "deep" / "deeper.py").write_text("import json\nVALUE = 1  # one\n")
    (folder / "unused.py").write_text("VALUE = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [n for n in sys.modules if n.startswith("toyproject")]:
        del sys.modules[name]


def node_of(toy: Path) -> Callable[[], int]:
    return importlib.import_module("toyproject.nodes").node  # type: ignore[no-any-return]


def test_all_modules_that_are_used_count_and_no_others(toy: Path) -> None:
    assert set(code_of(node_of(toy))) == {
        "toyproject.nodes",
        "toyproject.helpers",
        "toyproject.deep.deeper",
    }


@pytest.mark.parametrize(
    ("file", "content", "changes"),
    [
        ("deep/deeper.py", "import json\nVALUE = 3\n", True),
        ("deep/deeper.py", '"""Doc."""\nimport json\n\n\nVALUE = (1)\n', False),
        ("nodes.py", NODES.replace("Do it.", "Do all of it."), False),
        ("nodes.py", NODES.replace("return helper()", "return -helper()"), True),
        ("unused.py", "VALUE = 4\n", False),
    ],
)
def test_what_is_computed_counts_and_how_it_is_written_does_not(
    toy: Path, file: str, content: str, changes: bool
) -> None:
    before = code_of(node_of(toy))
    (toy / file).write_text(content)
    assert (code_of(node_of(toy)) != before) == changes


@pytest.mark.parametrize(
    ("content", "changes"), [("VALUE = 4\n", True), ("VALUE = 2  # two\n", False)]
)
def test_a_fingerprint_is_of_the_whole_package(
    toy: Path, content: str, changes: bool
) -> None:
    node_of(toy)
    before = code_fingerprint("toyproject")
    (toy / "unused.py").write_text(content)
    assert (code_fingerprint("toyproject") != before) == changes


def test_this_projects_nodes_depend_on_what_they_use() -> None:
    training = code_of(train_task_node)
    assert "daformer_kedro.objectives.classification" in training
    assert "daformer_kedro.model.decoders.dual_attention" in training
    assert not [name for name in training if ".evaluation" in name or "hooks" in name]
    assert "daformer_kedro.evaluation.metrics" in code_of(evaluate_task_node)
    figures = code_of(draw_confusion_node)
    assert "daformer_kedro.evaluation.figures.confusion" in figures
    assert not [name for name in figures if name.startswith("daformer_kedro.learning")]


def test_data_files_that_code_reads_count() -> None:
    names = [Path(name).name for name in code_of(order_classes_node)]
    assert "cifar100_order1.json" in names


def test_bound_arguments_are_part_of_the_name_and_bound_functions_of_the_code() -> None:
    one, two = partial(train_task_node, seed=1), partial(train_task_node, seed=2)
    assert function_name(one) != function_name(two)
    assert function_name(train_task_node).endswith("task.nodes.train_task_node")
    bound = partial(order_classes_node, evaluate_task_node)
    assert "daformer_kedro.evaluation.metrics" in code_of(bound)
    assert " at 0x" not in function_name(bound)
