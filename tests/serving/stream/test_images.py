"""Folders of images: days, labels, and what is left out."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import MonitorConfig
from daformer_kedro.errors import InputError
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.stream import stream_of_images


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.name))
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_folders_are_days_and_classes(tmp_path: Path, classifier: Classifier) -> None:
    for name in (
        "2026-11-24/ape/a.png",
        "2026-11-24/b.png",
        "2026-11-25/gnu/c.png",
        "2026-12-01/ape/d.png",
        "inbox/e.png",
        "f.png",
    ):
        save(tmp_path / name)
    (tmp_path / "2026-11-25" / "broken.png").write_bytes(b"no image")
    stream = stream_of_images(tmp_path, classifier, MonitorConfig(until="2026-11-30"))
    assert stream.left_out == {"not in a folder of a day": 2, "could not be read": 1}
    table = stream.table.set_index(stream.table["image"].map(lambda p: Path(p).name))
    assert table["day"].to_dict() == {
        "a.png": "2026-11-24",
        "b.png": "2026-11-24",
        "c.png": "2026-11-25",
    }
    assert table["label"].fillna("none").to_dict() == {
        "a.png": "ape",
        "b.png": "none",
        "c.png": "gnu",
    }
    pixels = classifier.view(Image.open(tmp_path / "2026-11-24" / "b.png"))
    expected = classifier.answer(pixels[None]).embeddings[0].half()
    assert table.loc["b.png", "embedding"] == pytest.approx(expected.numpy(), abs=1e-3)


def test_folders_that_are_no_classes_are_no_labels(
    tmp_path: Path, classifier: Classifier
) -> None:
    save(tmp_path / "2026-11-24" / "camera 1" / "a.png")
    table = stream_of_images(tmp_path, classifier, MonitorConfig()).table
    assert "label" not in table


def test_without_folders_of_days_files_have_their_own(
    tmp_path: Path, classifier: Classifier
) -> None:
    for day in (23, 24):
        path = save(tmp_path / "ape" / f"{day}.png")
        noon = datetime(2026, 11, day, 12).timestamp()
        os.utime(path, (noon, noon))
    stream = stream_of_images(tmp_path, classifier, MonitorConfig())
    assert stream.table["day"].tolist() == ["2026-11-23", "2026-11-24"]
    assert stream.table["label"].tolist() == ["ape", "ape"]


def test_what_has_no_image_or_no_date(tmp_path: Path, classifier: Classifier) -> None:
    config = MonitorConfig()
    with pytest.raises(InputError, match="has no image"):
        stream_of_images(tmp_path, classifier, config)
    wrong = save(tmp_path / "2026-11-31" / "a.png")
    with pytest.raises(InputError, match="2026-11-31: is not a date"):
        stream_of_images(tmp_path, classifier, config)
    wrong.unlink()
    (tmp_path / "2026-11-30").mkdir()
    (tmp_path / "2026-11-30" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="no image to report: 1 could not be read"):
        stream_of_images(tmp_path, classifier, config)
    late = MonitorConfig(since="2027-01-01")
    with pytest.raises(InputError, match=r"monitor.since = 2027-01-01"):
        stream_of_images(tmp_path, classifier, late)
