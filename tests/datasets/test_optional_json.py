"""A file of another run that may not be there."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io import DatasetError

from daformer_kedro.datasets import OptionalJSONDataset


def test_it_loads_what_is_there_and_none_where_nothing_is(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    dataset = OptionalJSONDataset(filepath=str(path))
    assert dataset.exists()  # a run may begin without it
    assert dataset.load() is None
    path.write_text('{"last_accuracy": 0.5}')
    assert dataset.load() == {"last_accuracy": 0.5}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"last_acc')
    with pytest.raises(DatasetError, match="is damaged"):
        OptionalJSONDataset(filepath=str(path)).load()


def test_it_is_read_only(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="read only"):
        OptionalJSONDataset(filepath=str(tmp_path / "a.json")).save({})
