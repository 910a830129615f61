"""Images held out to choose the shrinkage of calibration."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.scenario.images import ImageArrays

FILE = Path(__file__).parents[2] / "benchmarks" / "calibration.py"


def test_a_fifth_of_each_class_is_held_out_and_no_test_image_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(FILE.parent)
    spec = importlib.util.spec_from_file_location("calibration", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    labels = np.repeat(np.arange(3), [5, 10, 4]).astype(np.int64)
    pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    tests = np.full((3, 1, 1, 1), 255, np.uint8)
    images = ImageArrays(pixels, labels, tests, np.arange(3), ("a", "b", "c"))

    held = module.hold_out(images, seed=0)

    assert np.bincount(held.test_labels).tolist() == [1, 2, 1]
    parts = [*held.train_images.ravel(), *held.test_images.ravel()]
    assert sorted(parts) == pixels.ravel().tolist()
    assert (labels[held.test_images.ravel()] == held.test_labels).all()
    again = module.hold_out(images, seed=1)
    assert again.test_images.ravel().tolist() != held.test_images.ravel().tolist()
