"""Days drawn to count alarms, and images that a model has not learnt."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from daformer_kedro.evaluation.monitoring.observations import Observations

FILE = Path(__file__).parents[2] / "benchmarks" / "monitoring.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("monitoring", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_and_days_share_no_image(module: ModuleType) -> None:
    rows = np.arange(9)
    given = Observations(rows, rows / 9, rows / 9, np.ones((9, 2), np.float32))
    reference, others = module.divide(given, np.random.default_rng(0))
    assert (len(reference), len(others)) == (4, 5)
    assert sorted([*reference.predicted, *others.predicted]) == list(range(9))
    assert len(module.join(reference, others)) == 9


def test_new_digits_are_those_that_were_not_learnt(module: ModuleType) -> None:
    learnt = [str(digit) for digit in range(8)]
    images = list(module.new_images("digits", learnt))
    assert len(images) == 354  # 174 eights, 180 nines
    assert (images[0].mode, images[0].size) == ("RGB", (8, 8))
