"""What a task may read, and what it trains on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from daformer_kedro.errors import InputError
from daformer_kedro.learning.task_images import select_images
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.samples import (
    assemble_task_data,
    class_names,
    num_new_classes,
    samples_of_task,
)

# Classes 0 and 1 in task 0, 2 in task 1; two training and one test image each.
SAMPLES = pd.DataFrame(
    {
        "split": ["train"] * 6 + ["test"] * 3,
        "sample_index": [0, 1, 2, 3, 4, 5, 0, 1, 2],
        "target": [0, 2, 1, 0, 2, 1, 2, 1, 0],
        "task": [0, 1, 0, 0, 1, 0, 1, 0, 0],
        "class_name": list("acbacbcba"),
    }
)


def test_a_task_sees_its_own_training_images_and_all_test_images_so_far() -> None:
    first, second = (samples_of_task(SAMPLES, task) for task in (0, 1))
    assert first["sample_index"].tolist() == [0, 2, 3, 5, 1, 2]
    assert second["sample_index"].tolist() == [1, 4, 0, 1, 2]
    assert (num_new_classes(first), num_new_classes(second)) == (2, 1)
    assert class_names(first) == ("a", "b")
    assert class_names(second) == ("a", "b", "c")


def test_new_samples_come_first_and_exemplars_are_marked() -> None:
    memory = pd.DataFrame({"sample_index": [3, 2], "target": [0, 1], "rank": [0, 0]})
    data = assemble_task_data(samples_of_task(SAMPLES, 1), memory)
    assert data["sample_index"].tolist() == [1, 4, 3, 2]
    assert data["target"].tolist() == [2, 2, 0, 1]
    assert data["is_exemplar"].tolist() == [False, False, True, True]
    assert list(data.columns) == ["sample_index", "target", "is_exemplar"]
    alone = assemble_task_data(samples_of_task(SAMPLES, 0), None)
    assert not alone["is_exemplar"].any()


def test_images_are_picked_by_row_with_channels_first() -> None:
    stored = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    chosen = select_images(arrays(stored), "train", pd.Series([2, 0], index=[7, 9]))
    assert isinstance(chosen, torch.Tensor)
    assert chosen.shape == (2, 3, 2, 2)
    assert chosen.dtype == torch.uint8
    assert chosen[0, 1].tolist() == stored[2, :, :, 1].tolist()
    grey = select_images(arrays(stored[..., :1]), "test", pd.Series([1]))
    assert isinstance(grey, torch.Tensor)
    assert grey.stride() == (4, 4, 2, 1)
    assert grey[0, 0].tolist() == stored[2, :, :, 0].tolist()


def arrays(stored: np.ndarray) -> ImageArrays:
    """The test split holds the same images backwards."""
    labels = np.zeros(len(stored), np.int64)
    return ImageArrays(stored, labels, stored[::-1], labels, ("a",))


def test_a_table_of_an_earlier_version_is_named() -> None:
    table = pd.DataFrame({"index": [0], "target": [0], "split": ["train"]})
    with pytest.raises(InputError, match=r"index, .*; sample_index must be among"):
        assemble_task_data(table, None)
