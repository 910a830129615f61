"""Images that a calibration is fitted on: validation images before any others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from daformer_kedro.pipelines.evaluation.references import references_of

NUM, SURE = 600, 3.0


def answers(too_sure: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose softmax holds when they are divided by ``too_sure``, and classes."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(NUM, 4, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return too_sure * logits, targets


@pytest.mark.parametrize("with_memory", [True, False])
def test_a_calibration_is_fitted_on_validation_images(with_memory: bool) -> None:
    logits, targets = answers(SURE)
    asked = []

    def extract(_: Any, split: str, rows: pd.Series) -> Any:
        asked.append(split)
        return torch.ones(len(rows), 2), logits[torch.tensor(rows.tolist())]

    extractor: Any = SimpleNamespace(extract=extract)
    samples = pd.DataFrame({"sample_index": range(NUM), "target": targets})
    memory = samples.head(20) if with_memory else None
    known = references_of(extractor, None, memory, None, samples.tail(NUM - 20))
    assert set(asked) == {"train"}  # validation images are training images
    assert known.fitted_on == "validation"
    assert known.score == ("distance" if with_memory else "energy")
    assert known.calibration((2, 2)).temperature == pytest.approx(SURE, rel=0.1)
    # Without them it is the memory, of which little is believed.
    known = references_of(extractor, None, memory, None, samples.head(0))
    assert known.fitted_on == "memory"
    assert known.calibration((2, 2)).temperature < 2
