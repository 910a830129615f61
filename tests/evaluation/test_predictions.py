"""Tables of predictions."""

from __future__ import annotations

import pandas as pd
import torch

from daformer_kedro.evaluation.predictions import prediction_table

SAMPLES = pd.DataFrame(
    {"sample_index": [7, 9], "task": [0, 1], "target": [0, 2], "split": "test"},
    index=[3, 4],
)


def test_classes_are_ranked_by_logit() -> None:
    logits = torch.tensor([[0.1, 0.9, 0.5], [2.0, 1.0, 3.0]])
    table = prediction_table(logits, SAMPLES)
    assert table["predicted"].tolist() == [1, 2]
    assert table[[f"top_{k}" for k in range(1, 6)]].to_numpy().tolist() == [
        [1, 2, 0, -1, -1],
        [2, 0, 1, -1, -1],
    ]
    assert table["sample_index"].tolist() == [7, 9]
    assert table["target"].tolist() == [0, 2]


def test_five_of_many_classes_are_kept_and_ties_go_to_the_earlier_class() -> None:
    table = prediction_table(torch.zeros(2, 8), SAMPLES)
    ranked = table[[f"top_{k}" for k in range(1, 6)]]
    assert ranked.to_numpy().tolist() == [[0, 1, 2, 3, 4]] * 2
