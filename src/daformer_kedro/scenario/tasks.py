"""Division of classes, and with them of samples, into tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import Images

if TYPE_CHECKING:
    import pandas as pd


def resolve_task_sizes(
    num_classes: int,
    initial_increment: int | None,
    increment: int | tuple[int, ...],
) -> tuple[int, ...]:
    """Return the number of new classes of each task.

    Args:
        num_classes: classes in all.
        initial_increment: classes of the first task; ``None`` leaves that to
            ``increment``.
        increment: classes of every later task, or one number per later task (one
            number for every task where ``initial_increment`` is ``None``).

    Raises:
        InputError: the sizes do not add up to ``num_classes``, or one is below 1.
    """
    shown = increment if isinstance(increment, int) else list(increment)
    setting = f"scenario.increment = {shown}"
    first: tuple[int, ...] = ()
    if initial_increment is not None:
        setting += f" with scenario.initial_increment = {initial_increment}"
        first = (initial_increment,)
    given = (increment,) if isinstance(increment, int) else tuple(increment)
    if min(first + given, default=0) < 1:
        raise InputError(f"{setting}: a task needs at least 1 class")
    rest = num_classes - sum(first)
    if isinstance(increment, int):
        if rest < 0 or rest % increment:
            raise InputError(
                f"{setting} does not divide {num_classes} classes into whole tasks; "
                f"{_advice(num_classes, rest, initial_increment)}"
            )
        return first + (increment,) * (rest // increment)
    sizes = first + given
    if sum(sizes) != num_classes:
        raise InputError(
            f"{setting} makes {sum(sizes)} classes; the tasks must add up to the "
            f"{num_classes} classes of the source"
        )
    return sizes


def _advice(num_classes: int, rest: int, initial_increment: int | None) -> str:
    if rest < 0:
        return f"scenario.initial_increment must be at most {num_classes}"
    divisors = [size for size in range(1, rest + 1) if rest % size == 0]
    what = "" if initial_increment is None else f"for the other {rest} classes "
    return f"{what}it must be one of {', '.join(map(str, divisors))}"


@dataclass(frozen=True)
class Scenario:
    """Division of the classes into tasks, in their order.

    A class has a *label* (its number in the source) and a *target* (its position in
    the class order, which is also the position of its logit). Tasks count from 0.

    Attributes:
        class_order: labels in order of arrival, a permutation of 0..num_classes - 1.
        task_sizes: new classes of each task.
        class_names: names in order of arrival.

    Raises:
        InputError: the three do not describe the same number of classes, or
            ``class_order`` is not a permutation.
    """

    class_order: tuple[int, ...]
    task_sizes: tuple[int, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        num_classes = len(self.class_order)
        if sorted(self.class_order) != list(range(num_classes)):
            raise InputError(
                f"class_order = {list(self.class_order)} is not a permutation of "
                f"0..{num_classes - 1}"
            )
        if sum(self.task_sizes) != num_classes or min(self.task_sizes, default=0) < 1:
            raise InputError(
                f"task_sizes = {list(self.task_sizes)} must be at least 1 each and "
                f"add up to the {num_classes} classes of class_order"
            )
        if len(self.class_names) != num_classes:
            raise InputError(
                f"class_order has {num_classes} entries for the "
                f"{len(self.class_names)} classes of class_names"
            )

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_sizes)

    @property
    def num_classes(self) -> int:
        """Number of classes over all tasks."""
        return len(self.class_order)

    def num_seen(self, task: int) -> int:
        """Return the number of classes seen once a task has arrived, that task's too.

        Raises:
            InputError: there is no such task.
        """
        if not 0 <= task < self.num_tasks:
            raise InputError(f"task = {task}; tasks are 0..{self.num_tasks - 1}")
        return sum(self.task_sizes[: task + 1])

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain lists, ready for JSON."""
        return {
            "class_order": list(self.class_order),
            "task_sizes": list(self.task_sizes),
            "class_names": list(self.class_names),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Scenario:
        """Build a scenario from what :meth:`to_json` returned.

        Raises:
            InputError: a key is missing or unknown, or the values do not fit.
        """
        keys = {"class_order", "task_sizes", "class_names"}
        if set(content) != keys:
            raise InputError(
                f"scenario has the keys {sorted(content)}; it must have {sorted(keys)}"
            )
        try:
            class_order = tuple(int(label) for label in content["class_order"])
            task_sizes = tuple(int(size) for size in content["task_sizes"])
            class_names = tuple(str(name) for name in content["class_names"])
        except (TypeError, ValueError) as error:
            raise InputError(
                "scenario: class_order and task_sizes must be lists of integers, "
                f"class_names a list of names: {error}"
            ) from error
        return cls(class_order, task_sizes, class_names)


def split_tasks(
    images: Images,
    class_order: Sequence[int],
    task_sizes: Sequence[int],
) -> pd.DataFrame:
    """Assign every sample to its task, as continuum's class-incremental scenario does.

    Args:
        images: the source; only its labels are read.
        class_order: labels in order of arrival.
        task_sizes: new classes of each task.

    Returns:
        One row per sample, training rows first, each split in the order of its array:
        ``split`` (category ``train``, ``test`` or, for training images that no task
        trains on, ``validation``), ``sample_index`` (position in the array of training
        or of test images, int32), ``label`` (in the source, int16), ``target``
        (position in the class order, int16), ``task`` (int16).

    Raises:
        InputError: class order and task sizes do not fit the classes of the images.
    """
    import pandas as pd

    order = tuple(int(label) for label in class_order)
    sizes = tuple(int(size) for size in task_sizes)
    Scenario(order, sizes, images.class_names)  # raises where they do not fit

    counts = [len(images.train_labels), len(images.test_labels)]
    labels = np.concatenate([images.train_labels, images.test_labels])
    targets, tasks = _targets_and_tasks(labels, order, sizes)
    codes = np.repeat(np.array([0, 1], dtype=np.int8), counts)
    rows = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    splits = ["train", "test"]
    if images.is_validation is not None:
        codes[: counts[0]][images.is_validation] = len(splits)
        splits.append("validation")
    return pd.DataFrame(
        {
            "split": pd.Categorical.from_codes(codes, pd.Index(splits)),
            "sample_index": rows,
            "label": labels.astype(np.int16),
            "target": targets,
            "task": tasks,
        }
    )


def _targets_and_tasks(
    labels: np.ndarray, class_order: tuple[int, ...], task_sizes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return target and task of each label, two (N,) int16 arrays."""
    target_of_label = np.empty(len(class_order), dtype=np.int16)
    target_of_label[list(class_order)] = np.arange(len(class_order))
    task_of_target = np.repeat(np.arange(len(task_sizes), dtype=np.int16), task_sizes)
    targets = target_of_label[labels]
    return targets, task_of_target[targets]
