"""Streams without a network: points in a plane, a cluster for each class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from daformer_kedro.evaluation.monitoring.observations import Baseline, Observations

Draw = Callable[..., Observations]
CENTRES = np.array([[4.0, 0.0], [0.0, 4.0], [-4.0, 0.0], [0.0, -4.0]])


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Images of given classes, by a model that is right nine times in ten.

    Class 3 was never learnt: its images are taken for class 0 and lie elsewhere.
    """

    def images(
        classes: list[int], generator: np.random.Generator, errors: float = 0.1
    ) -> Observations:
        true = np.array(classes)
        num = len(true)
        predicted = np.where(true == 3, 0, true)
        flipped = (generator.random(num) < errors) & (true != 3)
        predicted[flipped] = (predicted[flipped] + 1) % 3
        scores = np.where(true == 3, 0.5, 0.0) + generator.random(num)
        points = CENTRES[true] + generator.normal(size=(num, 2))
        return Observations(
            predicted,
            generator.uniform(0.5, 1, num),
            scores,
            points.astype(np.float32),
            np.where(true == 3, -1, true),
        )

    return images


@pytest.fixture(scope="session")
def baseline(draw: Draw) -> Baseline:
    """Three classes, 100 images each; 5 % of them count as unknown."""
    generator = np.random.default_rng(1)
    reference = draw([0, 1, 2] * 100, generator)
    threshold = float(np.quantile(reference.unknown_scores, 0.95))
    return Baseline(reference, threshold, 3, np.array([200, 100, 100]))
