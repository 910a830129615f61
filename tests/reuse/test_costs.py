"""Time of a step that learns, from what was measured of its parts."""

from __future__ import annotations

from typing import Any

import pytest

from daformer_kedro.reuse.costs import time_to_learn
from daformer_kedro.storage.record import Provenance


def made(**times: Any) -> Provenance:
    return Provenance("train", "model", 0, "", {}, **times)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (0.0, (10, 15)),  # not in epochs
        (8.0, (10, 15)),  # in one part; the rest is loading
        (40.0, (40, 60)),  # three quarters were before an interruption
    ],
)
def test_parts_before_an_interruption_count(
    epochs: float, expected: tuple[int, int]
) -> None:
    outputs = [
        made(seconds=9.0, processor_seconds=14.0),
        made(seconds=10.0, processor_seconds=15.0),
        made(),
    ]
    assert time_to_learn(outputs, epochs) == expected


def test_what_was_not_measured_is_not_guessed() -> None:
    assert time_to_learn([made()], 3.0) is None
    assert time_to_learn([made(seconds=2.0)], 3.0) is None
    assert time_to_learn([made(seconds=0.0, processor_seconds=1.0)], 3.0) == (3, 1)
