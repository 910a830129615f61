"""Stored files: whole, recorded, checked, and shown by Kedro-Viz."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError
from matplotlib.figure import Figure

from daformer_kedro.datasets import StoredDataset
from daformer_kedro.storage.record import read_record


def test_what_is_stored_comes_back_and_has_a_record(tmp_path: Path) -> None:
    dataset = StoredDataset(
        filepath=str(tmp_path / "deep" / "metrics.json"), dataset="json.JSONDataset"
    )
    assert not dataset.exists()
    dataset.save({"accuracy": 0.5})
    assert dataset.exists()
    assert dataset.load() == {"accuracy": 0.5}
    record = read_record(dataset.filepath)
    assert record is not None
    assert record.size == dataset.filepath.stat().st_size
    assert record.provenance is None


def test_damage_is_named_when_loading(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    dataset = StoredDataset(filepath=str(path), dataset="json.JSONDataset")
    dataset.save({"accuracy": 0.5})
    path.write_text(path.read_text().replace("5", "6"))
    with pytest.raises(DatasetError, match=r"metrics\.json is damaged"):
        dataset.load()


def test_a_failed_save_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    dataset = StoredDataset(filepath=str(path), dataset="json.JSONDataset")
    dataset.save({"accuracy": 0.5})
    with pytest.raises(DatasetError, match=r"cannot write .*metrics\.json"):
        dataset.save({"accuracy": object()})
    assert dataset.load() == {"accuracy": 0.5}
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["metrics.json", "metrics.json.meta"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    path = tmp_path / "results" / "metrics.json"
    dataset = StoredDataset(filepath=str(path), dataset="json.JSONDataset")
    with pytest.raises(DatasetError, match=r"cannot write .*metrics\.json"):
        dataset.save({})


def test_previews_show_through_the_wrapper(tmp_path: Path) -> None:
    table = StoredDataset(
        filepath=str(tmp_path / "results.csv"),
        dataset={"type": "pandas.CSVDataset", "save_args": {"index": False}},
    )
    table.save(pd.DataFrame({"task": [0, 1], "accuracy": [0.5, 0.25]}))
    shown = table.preview(nrows=1)
    assert shown["columns"] == ["task", "accuracy"]
    assert shown["data"] == [[0, 0.5]]

    metrics = StoredDataset(
        filepath=str(tmp_path / "metrics.json"), dataset="json.JSONDataset"
    )
    metrics.save({"accuracy": 0.5})
    assert json.loads(metrics.preview()) == {"accuracy": 0.5}

    image = StoredDataset(
        filepath=str(tmp_path / "figure.png"), dataset="matplotlib.MatplotlibDataset"
    )
    image.save(Figure())
    assert image.preview().startswith("iVBORw0KGgo")  # a PNG in base 64
