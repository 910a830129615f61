"""Figures as files."""

from __future__ import annotations

import base64
import inspect
import io
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import DataCatalog
from kedro_datasets._typing import ImagePreview
from matplotlib.figure import Figure
from PIL import Image

from daformer_kedro.datasets import FigureDataset, StoredDataset


def make_figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1])
    return figure


def test_a_figure_comes_back_as_its_png(tmp_path: Path) -> None:
    dataset = FigureDataset(filepath=str(tmp_path / "a.png"))
    assert not dataset.exists()
    dataset.save(make_figure())
    assert dataset.exists()
    image = Image.open(io.BytesIO(dataset.load()))
    assert image.size == (240, 120)  # 120 dots per inch
    assert len(np.unique(np.asarray(image))) > 2


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    files = [FigureDataset(filepath=str(tmp_path / name)) for name in ("a", "b")]
    for file in files:
        file.save(make_figure())
    assert files[0].load() == files[1].load()


def test_kedro_viz_is_shown_the_image(tmp_path: Path) -> None:
    stored: Any = StoredDataset(
        filepath=str(tmp_path / "a.png"),
        dataset="daformer_kedro.datasets.FigureDataset",
    )
    stored.save(make_figure())
    assert base64.b64decode(stored.preview()) == (tmp_path / "a.png").read_bytes()
    # How Kedro-Viz chooses to show it.
    assert inspect.signature(stored.preview, eval_str=True).return_annotation is (
        ImagePreview
    )


def test_kedro_learns_the_arguments_that_a_dataset_was_made_of(tmp_path: Path) -> None:
    path = str(tmp_path / "a.png")
    catalog = DataCatalog({"figure": FigureDataset(filepath=path)})
    kind = "daformer_kedro.datasets.figure.FigureDataset"
    assert catalog.to_config()[0] == {"figure": {"type": kind, "filepath": path}}
