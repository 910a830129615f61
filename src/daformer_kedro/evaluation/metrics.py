"""Measures of class-incremental learning, as fractions of 1.

A *predictions table* holds one row for each test image of the classes seen after
one task, with the columns ``sample_index``, ``task`` (the task that brought the image's
class), ``target``, ``predicted`` and ``top_1`` … ``top_5`` (-1 where there are
fewer classes). An *accuracy matrix* has one row per task: entry ``[t][j]`` is the
accuracy on the classes of task ``j`` after task ``t``. Entries right of the diagonal
may be missing or ``None``; a task without test images is ``None`` in every row and
is left out of means over tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.summary import format_summary, summary_table

__all__ = [
    "accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "balanced_accuracy",
    "class_accuracies",
    "evaluate_predictions",
    "forgetting",
    "forgetting_per_task",
    "format_summary",
    "summarise",
    "summary_table",
    "task_accuracies",
    "top_k_accuracy",
]

AccuracyMatrix = Sequence[Sequence[float | None]]

_MAX_K = 5


def accuracy(predictions: pd.DataFrame) -> float:
    """Return the share of rows whose ``predicted`` is their ``target``.

    Every image counts the same, as in ``continuum.metrics.accuracy``.

    Raises:
        InputError: the table has no rows or lacks a column.
    """
    _require(predictions, "target", "predicted")
    hits = predictions["target"].to_numpy() == predictions["predicted"].to_numpy()
    return int(hits.sum()) / len(predictions)


def top_k_accuracy(predictions: pd.DataFrame, k: int) -> float:
    """Return the share of rows whose ``target`` is among ``top_1`` … ``top_k``.

    Raises:
        InputError: ``k`` is not within 1 … 5, or the table has no rows or lacks a
            column.
    """
    if not 1 <= k <= _MAX_K:
        raise InputError(f"k = {k}: must be within 1 and {_MAX_K}")
    columns = [f"top_{rank}" for rank in range(1, k + 1)]
    _require(predictions, "target", *columns)
    target = predictions["target"].to_numpy()[:, None]
    hits = (predictions[columns].to_numpy() == target).any(axis=1)
    return int(hits.sum()) / len(predictions)


def task_accuracies(predictions: pd.DataFrame, task: int) -> list[float | None]:
    """Return row ``task`` of the accuracy matrix.

    The classifier chooses among all classes seen: it does not know an image's task.

    Args:
        predictions: the table after ``task``.
        task: the last task learned, from 0.

    Returns:
        The accuracy on the classes of each of the tasks 0 … ``task``; ``None`` for a
        task without test images.

    Raises:
        InputError: the table holds images of a later task, has no rows or lacks a
            column.
    """
    _require(predictions, "task", "target", "predicted")
    last = int(predictions["task"].max())
    if last > task:
        raise InputError(
            f"predictions holds images of task {last}: after task {task} only the "
            f"tasks 0 to {task} are allowed"
        )
    groups = dict(iter(predictions.groupby("task")))
    return [accuracy(groups[j]) if j in groups else None for j in range(task + 1)]


def class_accuracies(
    predictions: pd.DataFrame, num_classes_seen: int
) -> list[float | None]:
    """Return the accuracy on the images of each class, in class order.

    Args:
        predictions: the table after a task.
        num_classes_seen: number of classes.

    Returns:
        One value for each class; ``None`` for a class without test images.

    Raises:
        InputError: the table has no rows or lacks a column.
    """
    _require(predictions, "target", "predicted")
    groups = dict(iter(predictions.groupby("target")))
    return [
        accuracy(groups[target]) if target in groups else None
        for target in range(num_classes_seen)
    ]


def balanced_accuracy(predictions: pd.DataFrame, num_classes_seen: int) -> float | None:
    """Average :func:`class_accuracies`: every class counts the same.

    The same as ``sklearn.metrics.balanced_accuracy_score``.
    """
    return _mean_of_known(class_accuracies(predictions, num_classes_seen))


def average_incremental_accuracy(accuracy_after_task: Sequence[float]) -> float:
    """Average the accuracy on all classes seen over all tasks, the first included.

    Rebuffi et al., iCaRL, CVPR 2017; the same as the property of that name of
    ``continuum.metrics.Logger``.

    Raises:
        InputError: the list is empty.
    """
    if not accuracy_after_task:
        raise InputError("accuracy_after_task = []: at least one task is needed")
    return _mean(accuracy_after_task)


def forgetting_per_task(matrix: AccuracyMatrix) -> list[float | None]:
    """Return how far each task but the last fell below its best accuracy.

    With k tasks, ``f_j = max_{l < k} a_{l,j} - a_{k,j}`` for each j < k (Chaudhry et
    al., Riemannian Walk, ECCV 2018). The maximum leaves out the last row, so that a
    task which gains in the last row has a negative value. Rows before a task was
    learned do not count.

    Returns:
        One value for each task but the last; empty with one task, ``None`` for a
        task without test images.

    Raises:
        InputError: the matrix is not lower triangular and square.
    """
    num_tasks = _num_tasks(matrix)
    losses: list[float | None] = []
    for j in range(num_tasks - 1):
        now = matrix[-1][j]
        before = [matrix[row][j] for row in range(j, num_tasks - 1)]
        known = [value for value in before if value is not None]
        losses.append(None if now is None or not known else float(max(known) - now))
    return losses


def forgetting(matrix: AccuracyMatrix) -> float | None:
    """Average :func:`forgetting_per_task`: F_k of Chaudhry et al., ECCV 2018.

    ``continuum.metrics.forgetting`` differs: it leaves the last but one task out of
    the sum, yet divides by k - 1, and it leaves the last but one row out of the
    maximum; it gives 0 with one task.

    Returns:
        A fraction within -1 and 1, lower is better; ``None`` with one task.

    Raises:
        InputError: the matrix is not lower triangular and square.
    """
    return _mean_of_known(forgetting_per_task(matrix))


def backward_transfer(matrix: AccuracyMatrix) -> float | None:
    """Average ``R_{T,j} - R_{j,j}`` over the tasks j < T.

    Lopez-Paz and Ranzato, Gradient Episodic Memory, NeurIPS 2017.
    ``continuum.metrics.backward_transfer`` differs: it follows Díaz-Rodríguez et al.
    (2018), sums ``R_{i,j} - R_{j,j}`` over every row i and divides by T (T - 1) / 2,
    and it leaves out the pairs j = i - 1; it gives 0 with one task.

    Returns:
        A fraction within -1 and 1, higher is better; ``None`` with one task.

    Raises:
        InputError: the matrix is not lower triangular and square.
    """
    num_tasks = _num_tasks(matrix)
    gains: list[float | None] = []
    for j in range(num_tasks - 1):
        now, then = matrix[-1][j], matrix[j][j]
        gains.append(None if now is None or then is None else float(now - then))
    return _mean_of_known(gains)


def evaluate_predictions(
    predictions: pd.DataFrame, task: int, num_classes_seen: int
) -> dict[str, Any]:
    """Compute the accuracies after one task, ready for :func:`summarise`.

    Args:
        predictions: the table after ``task``, with every image of the classes seen.
        task: the last task learned, from 0.
        num_classes_seen: classes of the tasks 0 … ``task``.

    Returns:
        ``task``, ``num_classes_seen``, ``task_accuracies``, ``class_accuracies``,
        ``accuracy``, ``balanced_accuracy`` and ``top5_accuracy``, which is ``None``
        with fewer than 6 classes: any answer would be among five.

    Raises:
        InputError: a target is not among the classes seen, or as in
            :func:`task_accuracies`.
    """
    _require(predictions, "target")
    highest = int(predictions["target"].max())
    if highest >= num_classes_seen:
        raise InputError(
            f"predictions holds target {highest}: after task {task} only the "
            f"{num_classes_seen} classes seen, 0 to {num_classes_seen - 1}, are allowed"
        )
    has_top5 = num_classes_seen > _MAX_K
    of_classes = class_accuracies(predictions, num_classes_seen)
    return {
        "task": int(task),
        "num_classes_seen": int(num_classes_seen),
        "task_accuracies": task_accuracies(predictions, task),
        "class_accuracies": of_classes,
        "accuracy": accuracy(predictions),
        "balanced_accuracy": _mean_of_known(of_classes),
        "top5_accuracy": top_k_accuracy(predictions, _MAX_K) if has_top5 else None,
    }


def summarise(per_task: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Collect all metrics of a run, as plain numbers, lists and ``None``.

    Args:
        per_task: one mapping per task, in order: what :func:`evaluate_predictions`
            returns, with ``num_parameters``, ``num_exemplars`` and
            ``neighbourhood_preservation`` (``None`` at the first task) added; also
            ``validation_accuracy`` where there are validation images, and
            ``train_cut_by_time`` and ``finetune_cut_by_time`` where time is limited.

    Returns:
        ``accuracy_matrix`` (T rows of T, ``None`` right of the diagonal); the lists
        ``accuracy_after_task``, ``balanced_accuracy_after_task``,
        ``top5_accuracy_after_task``, ``num_classes_seen``, ``num_parameters``,
        ``num_exemplars`` and ``neighbourhood_preservation``, each with one entry per
        task; ``class_accuracies`` after the last task; and
        ``average_incremental_accuracy``, ``last_accuracy``, ``last_balanced_accuracy``,
        ``forgetting`` and ``backward_transfer``. Where they apply, also the lists
        ``validation_accuracy_after_task`` and ``trainings_cut_by_time``.

    Raises:
        InputError: the tasks are not 0, 1, 2, … in order, or the list is empty.
    """
    tasks = [entry["task"] for entry in per_task]
    if not tasks or tasks != list(range(len(tasks))):
        raise InputError(f"per_task has the tasks {tasks}: must be 0, 1, 2, … in order")
    matrix = [
        _floats(entry["task_accuracies"]) + [None] * (len(tasks) - 1 - entry["task"])
        for entry in per_task
    ]
    after_task = [float(entry["accuracy"]) for entry in per_task]
    return {
        "accuracy_matrix": matrix,
        "accuracy_after_task": after_task,
        "balanced_accuracy_after_task": _floats(
            entry["balanced_accuracy"] for entry in per_task
        ),
        "class_accuracies": _floats(per_task[-1]["class_accuracies"]),
        "top5_accuracy_after_task": _floats(e["top5_accuracy"] for e in per_task),
        "average_incremental_accuracy": average_incremental_accuracy(after_task),
        "last_accuracy": after_task[-1],
        "last_balanced_accuracy": per_task[-1]["balanced_accuracy"],
        "forgetting": forgetting(matrix),
        "backward_transfer": backward_transfer(matrix),
        "num_classes_seen": [int(entry["num_classes_seen"]) for entry in per_task],
        "num_parameters": [int(entry["num_parameters"]) for entry in per_task],
        "num_exemplars": [int(entry["num_exemplars"]) for entry in per_task],
        "neighbourhood_preservation": _floats(
            entry["neighbourhood_preservation"] for entry in per_task
        ),
        **_where_they_apply(per_task),
    }


def _where_they_apply(per_task: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if any("validation_accuracy" in entry for entry in per_task):
        values = _floats(entry.get("validation_accuracy") for entry in per_task)
        found["validation_accuracy_after_task"] = values
    cuts = [f"{phase}_cut_by_time" for phase in ("train", "finetune")]
    if any(name in entry for entry in per_task for name in cuts):
        found["trainings_cut_by_time"] = [
            sum(entry.get(name, 0) for name in cuts) for entry in per_task
        ]
    return found


def _require(predictions: pd.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in predictions.columns]
    if missing:
        raise InputError(
            f"predictions has the columns {list(predictions.columns)}: "
            f"{missing} must be among them"
        )
    if predictions.empty:
        raise InputError("predictions has 0 rows: at least one test image is needed")


def _num_tasks(matrix: AccuracyMatrix) -> int:
    lengths = [len(row) for row in matrix]
    short = any(length <= row for row, length in enumerate(lengths))
    if not lengths or short or max(lengths) > len(lengths):
        raise InputError(
            f"accuracy matrix has rows of {lengths} entries: row t must hold the tasks "
            "0 to t, and no row more entries than there are rows"
        )
    return len(lengths)


def _floats(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def _mean(values: Sequence[float]) -> float:
    # fsum does not depend on the order, so a stored mean is the same everywhere.
    return math.fsum(values) / len(values)


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None
