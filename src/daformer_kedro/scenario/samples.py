"""Samples of a task: its own and the rehearsal memory's."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from daformer_kedro.errors import InputError


def of_split(
    samples: pd.DataFrame, split: Literal["train", "test", "validation"]
) -> pd.DataFrame:
    """Select the training, the test or the validation samples.

    Images of the last are among those of the first.
    """
    return samples[samples["split"] == split]


def sample_index(table: pd.DataFrame) -> pd.Series:
    """Return the positions of a table's images in their split.

    Args:
        table: samples, task data, exemplars or predictions.

    Raises:
        InputError: the table has no such column.
    """
    if "sample_index" not in table:
        raise InputError(
            f"a stored table of images has the columns {', '.join(table.columns)}; "
            "sample_index must be among them. An earlier version of the project made "
            "it: kedro run --only-missing-outputs makes it again"
        )
    return table["sample_index"]


def samples_of_task(samples: pd.DataFrame, task: int) -> pd.DataFrame:
    """Select what a task may read: its own training samples, all others so far.

    Args:
        samples: all samples, see :func:`daformer_kedro.scenario.tasks.split_tasks`.
        task: number of the task, from 0.

    Returns:
        The rows of the new classes' training images and of the test and validation
        images of every class seen so far, with the same columns.
    """
    is_train = samples["split"] == "train"
    own = is_train & (samples["task"] == task)
    seen = ~is_train & (samples["task"] <= task)
    return samples[own | seen].reset_index(drop=True)


def assemble_task_data(
    samples: pd.DataFrame, exemplars: pd.DataFrame | None
) -> pd.DataFrame:
    """Assemble the training samples of one task.

    Args:
        samples: the task's samples, see :func:`samples_of_task`.
        exemplars: the rehearsal memory after the previous task; ``None`` without one.

    Returns:
        ``sample_index`` (position in the training images), ``target`` and
        ``is_exemplar``; the new classes' samples first. Training shuffles; the order
        here is fixed.
    """
    tables = [of_split(samples, "train").assign(is_exemplar=False)]
    if exemplars is not None:
        tables.append(exemplars.assign(is_exemplar=True))
    for table in tables:
        sample_index(table)  # raises where an earlier version stored it
    data = pd.concat(tables, ignore_index=True)[
        ["sample_index", "target", "is_exemplar"]
    ]
    return data.astype(
        {"sample_index": "int64", "target": "int64", "is_exemplar": "bool"}
    )


def num_new_classes(samples: pd.DataFrame) -> int:
    """Return the number of classes that are new in the task of ``samples``."""
    return int(of_split(samples, "train")["target"].nunique())


def class_names(samples: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of all classes seen so far, in class order."""
    named = of_split(samples, "test").drop_duplicates("target")
    return tuple(named.sort_values("target")["class_name"].astype(str))
