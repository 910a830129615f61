"""What the log says of data and code."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daformer_kedro.config.run import Config
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.tracking.run_metadata import (
    image_inputs,
    metadata_tags,
    table_input,
)


def images(pixel: int = 0) -> ImageArrays:
    def stack(count: int) -> np.ndarray:
        return np.zeros((count, 2, 2, 1), np.uint8)

    train = stack(4)
    train[3, 1, 1, 0] = pixel
    labels = np.array([0, 1, 0, 1])
    return ImageArrays(train, labels, stack(2), np.array([0, 1]), ("a", "b"))


def digests(arrays: ImageArrays) -> list[str]:
    return [entry.dataset.digest for entry in image_inputs(arrays, Config())]


def test_a_digest_is_of_the_pixels() -> None:
    assert digests(images()) == digests(images())
    train, test = digests(images())
    other_train, other_test = digests(images(pixel=1))
    assert train != other_train
    assert test == other_test


def test_a_digest_is_of_the_labels_too() -> None:
    swapped = replace(images(), train_labels=np.array([1, 0, 0, 1]))
    assert digests(swapped)[0] != digests(images())[0]


def test_both_splits_are_named_and_counted() -> None:
    train, test = (entry.dataset for entry in image_inputs(images(), Config()))
    assert (train.name, test.name) == ("digits_train", "digits_test")
    assert json.loads(train.profile) == {"num_images": 4, "image_shape": [2, 2, 1]}


def test_a_table_is_digested_with_its_order() -> None:
    table = pd.DataFrame({"index": [1, 2], "class_name": ["a", "b"]})
    one = table_input("samples", "training", table).dataset.digest
    turned = table_input("samples", "training", table.iloc[::-1]).dataset.digest
    assert one != turned


def test_tags_say_what_code_it_was() -> None:
    tags = metadata_tags(Config())
    assert len(tags["git_commit"]) == 40
    assert tags["git_dirty"] in ("true", "false")
    assert len(tags["code_fingerprint"]) == 12
    assert tags["memory_keep"] == "exemplars"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select count(*) from datasets where name like 'digits_%'", 2),
        ("select count(*) from datasets where name like 'task_0%.samples'", 3),
        ("select count(*) from tags where key = 'settings_key'", 1),
        (
            "select count(*) from metrics where key = 'num_classes_seen'"
            " and value in (4, 7, 10)",
            6,  # three on the parent, one on each child
        ),
    ],
)
def test_a_run_has_them(finished: Any, query: str, expected: int) -> None:
    with sqlite3.connect(finished.path / "mlflow.db") as database:
        assert database.execute(query).fetchone()[0] == expected
